"""An agent in which pickle is closed, and which notes in a file what it decoded: `trapped.py NOTES agent ...`.

What is noted are the first bytes of a peer that anything is made of, at its four doors: a frame of Raft, a message of
gossip, a call of the RPC, a request over HTTP from a connection that showed no certificate.
"""

import os
import pickle
import sys


def _closed(*_arguments, **_options):
    raise AssertionError("pickle was called")


def main():
    """Set the traps before anything of the agent is imported, then run the command line."""
    notes = os.open(sys.argv.pop(1), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    sys.path.pop(0)  # the folder of this file
    pickle.loads = pickle.load = pickle.Unpickler = _closed

    from aiohttp.web_protocol import RequestHandler

    from agent.consensus import codec
    from agent.gossip import wire as gossip_wire
    from agent.rpc import wire as rpc_wire

    def noted(module, name, what, only=""):
        before = getattr(module, name)

        def trap(*arguments, **options):
            if sys._getframe(1).f_code.co_filename.endswith(only):
                os.write(notes, f"{what}\n".encode())
            return before(*arguments, **options)

        setattr(module, name, trap)

    for name in ("decode_handshake", "decode_message"):
        noted(codec, name, "raft")
    for name in ("decode_packet", "decode_stream"):
        noted(gossip_wire, name, "gossip")
    noted(rpc_wire, "decode", "rpc", only="rpc/service.py")
    received = RequestHandler.data_received

    def data_received(handler, data):
        if handler.transport is not None and not handler.transport.get_extra_info("peercert"):
            os.write(notes, b"http\n")
        received(handler, data)

    RequestHandler.data_received = data_received

    from compose.cli import main as outrider

    outrider()


if __name__ == "__main__":
    main()
