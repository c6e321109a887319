"""Measurements that anyone can repeat; none of them is a test, and none asserts a time."""
