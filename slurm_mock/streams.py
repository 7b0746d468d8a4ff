"""srun's own terminal and the ends of its tasks' stdin: sizes, raw mode, and bytes that may have to wait."""

import fcntl
import os
import termios
import tty


class Feeder:
    """Bytes on their way into one task's stdin, without ever blocking srun."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self.pending = b""
        self.ending = False

    def feed(self, data: bytes) -> None:
        self.pending += data
        self.flush()

    def end(self) -> None:
        self.ending = True
        self.flush()

    def flush(self) -> None:
        try:
            while self.pending and self.fd >= 0:
                self.pending = self.pending[os.write(self.fd, self.pending) :]
        except BlockingIOError:
            return
        except OSError:
            self.pending, self.ending = b"", True
        if self.ending and self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Terminal:
    """srun --pty: the task's pseudo terminal follows srun's own in size and settings; srun's is raw meanwhile."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        self.saved = termios.tcgetattr(0)
        termios.tcsetattr(self.slave, termios.TCSANOW, self.saved)
        self.resize()

    def resize(self) -> None:
        size = fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)

    def raw(self) -> None:
        tty.setraw(0)

    def restore(self) -> None:
        termios.tcsetattr(0, termios.TCSADRAIN, self.saved)

    def read(self) -> bytes:
        """Output of the task; empty when its side is closed."""
        try:
            return os.read(self.master, 65536)
        except BlockingIOError:
            return b""
        except OSError:
            return b""
