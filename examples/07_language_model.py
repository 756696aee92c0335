#!/usr/bin/env python3
"""A ROS node that answers with a language model which knows how to speak with the person in front of the robot.

    ros2 launch facial_attributes_ros dialogue.launch.py language:=de
    python3 examples/07_language_model.py --url http://localhost:11434/v1 --model llama3.2

It shows: putting `dialogue/context` into the system prompt of any endpoint with OpenAI's chat interface (Ollama,
llama.cpp, vLLM and others; a local one by default, so that nothing leaves the robot). What a person says comes on
`heard` (std_msgs/String), from your speech recogniser; the answers go out on `speech`. A new encounter begins a new
conversation. If the endpoint wants a key, it is read from the variable OPENAI_API_KEY.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from facial_attributes_ros.errors import UserError

ROLE = "You are the voice of a friendly robot. Answer in one or two sentences. About the situation:\n"
TURNS = 12
"""Number of messages of the conversation, the last ones, that the model is given."""


def reply(url: str, model: str, context: str, turns: Sequence[dict[str, str]], timeout: float = 30.0) -> str:
    """Return what a language model answers.

    Args:
        url: of the interface, such as `http://localhost:11434/v1`.
        model: its name there.
        context: what `dialogue/context` says.
        turns: the conversation so far, as OpenAI's `messages` with `role` and `content`.
        timeout: seconds to wait.

    Raises:
        UserError: the endpoint does not answer, or not as expected.
    """
    document = {"model": model, "messages": [{"role": "system", "content": ROLE + context}, *turns[-TURNS:]]}
    headers = {"Content-Type": "application/json"}
    if os.environ.get("OPENAI_API_KEY"):
        headers["Authorization"] = f"Bearer {os.environ['OPENAI_API_KEY']}"
    address = f"{url.rstrip('/')}/chat/completions"
    try:
        request = Request(address, json.dumps(document).encode(), headers)  # noqa: S310 - the user gives the address
        with urlopen(request, timeout=timeout) as answer:  # noqa: S310
            return str(json.load(answer)["choices"][0]["message"]["content"]).strip()
    except (URLError, TimeoutError, OSError, ValueError) as error:
        raise UserError(f"The language model at {address} does not answer: {error}.") from error
    except (KeyError, IndexError, TypeError) as error:
        raise UserError(f"The language model at {address} answers in another form than OpenAI's chat.") from error


def main() -> None:
    """Answer until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Answer what people say with a language model.")
    parser.add_argument("--url", default="http://localhost:11434/v1")
    parser.add_argument("--model", default="llama3.2")
    options, _ = parser.parse_known_args()

    import rclpy
    from rclpy.executors import ExternalShutdownException
    from rclpy.node import Node
    from std_msgs.msg import String

    from facial_attributes_ros.ros.dialogue.client import DialogueClient

    class Chat(Node):
        """Answers on `speech` to what is heard on `heard`."""

        def __init__(self) -> None:
            super().__init__("chat")
            self._client, self._turns, self._encounter = DialogueClient(self), [], 0  # type: ignore[var-annotated]
            self._speech = self.create_publisher(String, "speech", 10)
            self.create_subscription(String, "heard", self._on_heard, 10)

        def _on_heard(self, message: Any) -> None:
            someone = self._client.interlocutor
            if someone is not None and someone.encounter != self._encounter:
                self._encounter, self._turns = someone.encounter, []
            self._turns.append({"role": "user", "content": message.data})
            try:
                text = reply(options.url, options.model, self._client.context, self._turns)
            except UserError as error:
                self.get_logger().error(str(error))
                self._turns.pop()
                return
            self._turns.append({"role": "assistant", "content": text})
            self._speech.publish(String(data=text))

    rclpy.init(args=sys.argv)
    try:
        rclpy.spin(Chat())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
