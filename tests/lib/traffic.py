"""Calls without a pause, while something happens to what serves them."""

import threading
import time

import httpx2
from raw import Caller


class Traffic:
    """One client that calls `echo` until told to stop. A wrong answer is kept; so is the time of every lost connection."""

    def __init__(self, caller: Caller, pause: float = 0.005):
        self.caller, self.pause = caller, pause
        self.good, self.lost, self.wrong = 0, 0, []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        number = 0
        while not self.over.is_set():
            number += 1
            try:
                answer = self.caller.call("echo", text=f"call {number}")
            except httpx2.TransportError:
                self.lost += 1
                time.sleep(0.02)
                continue
            if answer.status == 200 and answer.result["content"][0]["text"] == f"call {number}":
                self.good += 1
            else:
                self.wrong.append((answer.status, answer.text))
            self.over.wait(self.pause)

    def stop(self):
        self.over.set()
        self.thread.join(20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
