from slim_retrieval.common import notices


def test_a_line_is_said_once(monkeypatch, capsys):
    monkeypatch.setattr(notices, "_said", set())
    for line in ("a", "b", "a"):
        notices.say_once(line)
    assert capsys.readouterr().out == "a\nb\n"
