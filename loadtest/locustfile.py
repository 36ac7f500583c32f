"""The load test of the delay example for Locust: the same users, the same two views.

    cargo run --release -p delay
    locust -f loadtest/locustfile.py --headless -u 500 -r 10 --host http://127.0.0.1:8000 Before
    locust -f loadtest/locustfile.py --headless -u 500 -r 10 --host http://127.0.0.1:8000 After

Each run stops by itself after REQUESTS (7000 if unset) requests, at Locust's own statistics.
"""

import os

import gevent
from locust import HttpUser, between, events, task

REQUESTS = int(os.environ.get("REQUESTS", "7000"))


class Before(HttpUser):
    wait_time = between(1, 5)

    @task
    def say_hello(self):
        self.client.get("/playground/uncached/")


class After(HttpUser):
    wait_time = between(1, 5)

    @task
    def say_hello(self):
        self.client.get("/playground/hello/")


@events.init.add_listener
def stop_when_enough(environment, **_):
    stopping = False

    @environment.events.request.add_listener
    def count(**_):
        nonlocal stopping
        if not stopping and environment.stats.total.num_requests >= REQUESTS:
            stopping = True
            # Not here: this runs within a user, and quitting waits for the users to end.
            gevent.spawn(environment.runner.quit)
