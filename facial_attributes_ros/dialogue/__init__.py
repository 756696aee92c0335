"""From faces to a manner of speaking: who the interlocutor is, how to speak, and what a language model may know of it.

Nothing here needs ROS. `scene` is what comes in, `interlocutor` chooses whom to speak with, `policy` and `manner` say
how, `context` puts it into words, and `dialogue` holds them together.
"""
