"""The pages: a live view of a running graph, and the demonstrator. One application, of which each page is a part.

Nothing here imports ROS. A page that shows what comes from a graph is fed by a node, see `ros/viewer`. Start reading in
`app.py`.
"""
