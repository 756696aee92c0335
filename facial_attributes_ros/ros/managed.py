"""A managed node whose transitions never fail without a message, and which answers while it configures itself."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from lifecycle_msgs.msg import State, Transition
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNodeMixin, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.task import Future

from facial_attributes_ros.errors import UserError
from facial_attributes_ros.ros.loading import Loading, Stages
from facial_attributes_ros.ros.rclpy_internals import Callback, state_machine, wrap_change_state

PRIMARY: Final = frozenset((State.PRIMARY_STATE_UNCONFIGURED, State.PRIMARY_STATE_INACTIVE, State.PRIMARY_STATE_ACTIVE))
"""The states in which a transition may begin; in all others one is under way, or the node is finalized."""

T = TypeVar("T")

SUCCESS: Final = TransitionCallbackReturn.SUCCESS
FAILURE: Final = TransitionCallbackReturn.FAILURE
ERROR: Final = TransitionCallbackReturn.ERROR


class ManagedNode(LifecycleNodeMixin, Node):
    """A managed node; a subclass defines what is loaded, opened and closed.

    rclpy drops what a transition's callback raises, ends the node at a transition that the state does not allow, and
    answers no service while a callback runs. Here an error is logged and kept in `problem`, a transition at a wrong
    time is refused, and `load` runs in a thread of its own while the node answers.

    A failed configure or activate leads back to the state before it; a failed deactivate or cleanup leads to
    unconfigured, and a failed shutdown to finalized, all with everything freed.

    Args:
        name: of the node, unless remapped.
        options: as of `rclpy.node.Node`.

    Attributes:
        problem: why the last transition failed; None if it did not.
        loading: the loading that is under way; None if there is none.
    """

    def __init__(self, name: str, **options: Any) -> None:
        Node.__init__(self, name, **options)
        # In the node's own group they would wait for each other, and so for a configure that is under way.
        LifecycleNodeMixin.__init__(self, callback_group=ReentrantCallbackGroup())
        self.problem: str | None = None
        self.loading: Loading | None = None
        self._machine = state_machine(self)
        if not wrap_change_state(self, self._safe_change_state):
            self.get_logger().warning(
                "This rclpy hides its service change_state: the node is silent while it configures."
            )

    def load(self, stages: Stages) -> Any:
        """Return what `configure` needs; runs in a thread of its own and must not use ROS."""

    def configure(self, loaded: Any) -> None:
        """Make use of what was loaded; what it raises leaves the node unconfigured."""

    def activate(self) -> None:
        """Begin to work; what it raises leaves the node inactive."""

    def deactivate(self) -> None:
        """Stop working."""

    def free(self) -> None:
        """Stop and free everything; called in any state, and again after it failed."""

    @property
    def state(self) -> str:
        """Label of the lifecycle's state, such as unconfigured or configuring."""
        return str(self._machine.current_state[1])

    @property
    def between_transitions(self) -> bool:
        """Whether a transition may begin now."""
        return self._machine.current_state[0] in PRIMARY

    def start(self) -> bool:
        """Configure and activate the node, and return whether it is active.

        Meanwhile the node's executor is spun, so that the node answers.
        """
        executor = self.executor or SingleThreadedExecutor(context=self.context)
        executor.add_node(self)
        started = executor.create_task(self._configure)
        executor.spin_until_future_complete(started)
        return bool(started.result() == SUCCESS and self.trigger_activate() == SUCCESS)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and configure; waits for what is being loaded."""
        loading = self.loading or Loading(self.load)

        def configure() -> None:
            self.configure(loading.result())
            super(ManagedNode, self).on_configure(state)

        outcome = self._attempt("configured", configure, FAILURE)
        self.loading = None
        return outcome if outcome == SUCCESS or self._discard() else ERROR

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Enable the publishers and begin to work."""

        def activate() -> None:
            super(ManagedNode, self).on_activate(state)
            self.activate()

        outcome = self._attempt("activated", activate, FAILURE)
        if outcome != SUCCESS:
            super().on_deactivate(state)
        return outcome

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop working and disable the publishers."""

        def deactivate() -> None:
            self.deactivate()
            super(ManagedNode, self).on_deactivate(state)

        return self._attempt("deactivated", deactivate, ERROR)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything."""

        def free() -> None:
            super(ManagedNode, self).on_cleanup(state)
            self.free()

        return self._attempt("cleaned up", free, ERROR)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free everything, from any state; the node is finalized either way."""

        def shut_down() -> None:
            super(ManagedNode, self).on_shutdown(state)
            self.free()

        return self._attempt("shut down", shut_down, FAILURE)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything after a transition that failed half-way."""
        super().on_deactivate(state)
        return SUCCESS if self._discard() else FAILURE

    def _discard(self) -> bool:
        """Free what a failed transition has left, and return whether that was possible; its problem stays."""
        problem = self.problem
        outcome = self._attempt("freed", self.free, FAILURE)
        self.problem = problem
        return bool(outcome == SUCCESS)

    def _attempt(
        self, what: str, step: Callable[[], None], otherwise: TransitionCallbackReturn
    ) -> TransitionCallbackReturn:
        """Take a step of a transition and return how it went; what it raises is logged and kept."""
        try:
            step()
        except UserError as error:
            self.problem = str(error)
        except BaseException as error:  # a panic of a library is no Exception, and rclpy would stop half-way
            self.problem = f"The node could not be {what} ({type(error).__name__}: {error})."
        else:
            self.problem = None
            return SUCCESS
        self.get_logger().error(f"Not {what}: {self.problem}")
        return otherwise

    def _safe_change_state(self, rclpy_change_state: Callback) -> Callback:
        """Return a callback of the service change_state that refuses what the state does not allow, in a response.

        rclpy's own would end the node. This one also loads outside of the executor, which answers meanwhile.
        """

        async def change_state(request: Any, response: Any) -> Any:
            transition = request.transition.label or request.transition.id
            try:
                if not self.between_transitions:
                    raise RuntimeError("no transition may begin in this state")
                if self.state == "unconfigured" and transition in ("configure", Transition.TRANSITION_CONFIGURE):
                    response.success = await self._configure() == SUCCESS
                    return response
                return rclpy_change_state(request, response)
            except RuntimeError as error:
                self.get_logger().warning(f"Transition {transition} is refused while {self.state}: {error}")
                response.success = False
                return response

        return change_state

    async def _configure(self) -> TransitionCallbackReturn:
        """Do what `trigger_configure` does, but load in a thread, so that the executor can answer meanwhile."""
        machine = self._machine
        number, label = machine.current_state
        machine.trigger_transition_by_id(Transition.TRANSITION_CONFIGURE, True)
        self.loading, loaded = self._in_thread(self.load)
        await loaded
        before = LifecycleState(label=label, state_id=number)
        outcome = self.on_configure(before)
        machine.trigger_transition_by_label(outcome.to_label(), True)
        if outcome == ERROR:
            machine.trigger_transition_by_label(self.on_error(before).to_label(), True)
        return outcome

    async def outside(self, work: Callable[[Stages], T]) -> T:
        """Return what a function returns that runs in a thread of its own, while the executor answers.

        Args:
            work: the function; it must not use ROS.

        Raises:
            BaseException: what the function raises.
        """
        loading, over = self._in_thread(work)
        await over
        result: T = loading.result()
        return result

    def _in_thread(self, work: Callable[[Stages], Any]) -> tuple[Loading, Future]:
        """Begin a piece of work in a thread, and return it with a future that is done when it has ended."""
        executor = self.executor
        over = Future(executor=executor)

        def done() -> None:
            over.set_result(None)
            executor.wake()

        return Loading(work, done), over
