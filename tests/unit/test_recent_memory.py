"""`RecentMemory`: what is asked for stays, the rest goes."""

from activities.recent_memory import RecentMemory


def test_what_is_asked_for_in_each_turn_stays_and_the_rest_is_forgotten() -> None:
    memory = RecentMemory[str, str]()
    memory["asked"], memory["told"], memory["left"], memory["empty"] = "1", "2", "3", ""
    for _ in range(5):
        memory.turn()
        assert memory.get("asked") == "1"
        memory["told"] = "4"
        assert "empty" in memory
    assert (memory.get("told"), memory.get("left"), len(memory)) == ("4", None, 3)
    memory.clear()
    assert (len(memory), "asked" in memory) == (0, False)


def test_nothing_is_forgotten_within_a_turn() -> None:
    memory = RecentMemory[int, int]()
    for number in range(100):
        memory[number] = number
    memory.turn()
    assert len(memory) == 100
    assert memory.get(1) == 1
    memory.turn()
    assert [number for number in range(100) if number in memory] == [1]
