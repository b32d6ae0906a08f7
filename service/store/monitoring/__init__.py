"""Whether Redis may be used.

monitor      checks Redis at the start, every minute and for readiness
namespace    what all processes of a namespace share: its shards and its server key
inspection   what a server must be, to be asked at all
promises     what servers are set to, and what that promises
clock_watch  the clocks of all nodes beside each other
"""
