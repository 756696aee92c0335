"""People wait their turn, see their place, and leave the line without holding others up."""

import asyncio

from facial_attributes_ros.web.demonstrator.line import Line


def test_turns_come_in_the_order_of_asking_and_places_are_announced():
    async def run():
        line, order, places = Line(), [], {}

        async def visit(name):
            async with line.turn(places.setdefault(name, []).append):
                order.append(name)
                await asyncio.sleep(0)

        await asyncio.gather(*(visit(name) for name in "abcd"))
        return order, places

    order, places = asyncio.run(run())
    assert order == list("abcd")
    assert places == {"a": [], "b": [1], "c": [2, 1], "d": [3, 2, 1]}


def test_a_long_job_lets_others_in_between_its_steps():
    async def run():
        line, order = Line(), []

        async def steps(name, number):
            for _ in range(number):
                async with line.turn():
                    order.append(name)
                    await asyncio.sleep(0)

        await asyncio.gather(steps("video", 6), steps("image", 1), steps("other", 2))
        return order

    assert asyncio.run(run())[:5] == ["video", "image", "other", "video", "other"]


def test_who_leaves_the_line_gives_the_place_to_others():
    async def run():
        line, places = Line(), []
        async with line.turn():
            leaving = asyncio.create_task(_hold(line, []))
            staying = asyncio.create_task(_hold(line, places))
            await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.sleep(0)
            assert places == [2, 1]
        await asyncio.wait_for(staying, 1)
        async with asyncio.timeout(1), line.turn():  # the turn was given back
            assert line.length == 0

    asyncio.run(run())


def test_a_turn_that_comes_while_its_owner_leaves_is_passed_on():
    async def run():
        line = Line()
        async with line.turn():
            leaving = asyncio.create_task(_hold(line, []))
            await asyncio.sleep(0)
        leaving.cancel()  # its turn has come, and it has not run since
        await asyncio.sleep(0)
        async with asyncio.timeout(1), line.turn():
            pass

    asyncio.run(run())


def test_several_at_once():
    async def run():
        line = Line(2)
        async with line.turn(), line.turn():
            waiting = asyncio.create_task(_hold(line, []))
            await asyncio.sleep(0)
            assert line.length == 1
        await waiting

    asyncio.run(run())


async def _hold(line, places):
    async with line.turn(places.append):
        await asyncio.sleep(0)
