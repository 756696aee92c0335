"""The viewer node: a live page that shows a running graph. It only subscribes."""
