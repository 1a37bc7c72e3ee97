"""Works in two functions, three quarters of the time in one of them, and hardly rests."""

import time


def burn(seconds):
    ends = time.thread_time() + seconds
    while time.thread_time() < ends:
        sum(range(200))


def heavy():
    burn(0.015)


def light():
    burn(0.005)


def main():
    while True:
        heavy()
        light()
        time.sleep(0.002)


main()
