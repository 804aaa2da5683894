"""A real broker with the plugin under test, and clients that speak with it in dialogues.

    alice = chat.ws("alice@example.com")
    bob = chat.mqtt("bob@example.com").read_room()
    alice.send({"message": "hi"})
    bob.expect(message="hi", sender="alice@example.com")

Nothing sleeps for a guess: every wait is for an event and has a limit.
"""
