"""The ROS 2 floor: nodes, parameters and message conversion. Nothing else imports rclpy."""
