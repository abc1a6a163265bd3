"""How a screen asks for what it shows: in a worker, its answer a message, stale answers dropped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from textual.message import Message

if TYPE_CHECKING:
    from textual.dom import DOMNode as _Base
else:
    _Base = object

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Question(Generic[T]):
    """What to call in a worker, and who is told on the way back, in the UI's own thread."""

    topic: str
    number: int
    call: Callable[[], T]
    then: Callable[[T], None]
    failed: Callable[[Exception], None]


@dataclass(eq=False)
class Answer(Message, bubble=False):
    """A question's value, or the error that it ended with."""

    question: Question[Any]
    value: Any = None
    error: Exception | None = None


class Asking(_Base):
    """Mixed into a screen or the app."""

    def ask(
        self,
        topic: str,
        call: Callable[[], T],
        then: Callable[[T], None],
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """Call the desk in a worker. Of one topic only the answer to the last question counts."""
        numbers = self._asked()
        numbers[topic] = numbers.get(topic, 0) + 1
        question = Question(topic, numbers[topic], call, then, failed or self.tell_error)
        self._waiting().add((topic, question.number))
        self.run_worker(partial(self._answer, question), group=topic, thread=True, exit_on_error=False)

    def is_asking(self, topic: str) -> bool:
        """Whether an answer on the topic is still to come."""
        return any(waiting == topic for waiting, _ in self._waiting())

    @property
    def is_settled(self) -> bool:
        """Whether no answer is still to come."""
        return not self._waiting()

    def forget(self, topic: str) -> None:
        """Drop whatever answer on the topic is still to come."""
        numbers = self._asked()
        numbers[topic] = numbers.get(topic, 0) + 1

    def tell_error(self, error: Exception) -> None:
        """What happens to an error that the question had no answer for."""
        raise NotImplementedError

    def _answer(self, question: Question[Any]) -> None:
        try:
            answer = Answer(question, question.call())
        except Exception as error:
            answer = Answer(question, error=error)
        self.post_message(answer)

    def on_answer(self, answer: Answer) -> None:
        question = answer.question
        self._waiting().discard((question.topic, question.number))
        if self._asked().get(question.topic) != question.number:
            return
        if answer.error is not None:
            question.failed(answer.error)
        else:
            question.then(answer.value)

    def _asked(self) -> dict[str, int]:
        numbers: dict[str, int] = self.__dict__.setdefault("_question_numbers", {})
        return numbers

    def _waiting(self) -> set[tuple[str, int]]:
        waiting: set[tuple[str, int]] = self.__dict__.setdefault("_questions_waiting", set())
        return waiting
