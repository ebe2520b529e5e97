"""Writes cpio archives in the "newc" format: the initramfs, and the files of `tools/vm --add`.

One member is a header of 110 bytes (six digits of magic, thirteen fields of eight hexadecimal
digits), the name with its final NUL, and the content; name and content are each padded to four
bytes. All belongs to uid 0, and times are zero, so equal trees give equal archives.

The content of a file of a page or more starts on a page boundary of the archive: its name is
followed by more NULs than needed, which every reader skips. A kernel that loads the archive page
aligned can then map such a file where it lies.
"""

import os
import stat

PAGE = 4096
HEADER = 110
NAME_MAX = 4096  # readers refuse longer names


class Writer:
    def __init__(self, out):
        self.out = out
        self.offset = 0
        self.inode = 0
        self.directories = set()

    def add_directory(self, path, mode=0o755):
        """Adds a directory, and those above it; a second time does nothing."""
        path = path.strip("/")
        if not path or path in self.directories:
            return
        self.add_directory(os.path.dirname(path))
        self.directories.add(path)
        self._member(path, stat.S_IFDIR | mode, b"")

    def add_file(self, path, content, mode=0o644):
        path = path.strip("/")
        self.add_directory(os.path.dirname(path))
        self._member(path, stat.S_IFREG | mode, content)

    def add_symlink(self, path, target):
        path = path.strip("/")
        self.add_directory(os.path.dirname(path))
        self._member(path, stat.S_IFLNK | 0o777, target.encode())

    def add_host(self, path, host):
        """Adds a file, symbolic link or whole directory of the host, modes kept."""
        if os.path.islink(host):
            self.add_symlink(path, os.readlink(host))
        elif os.path.isdir(host):
            self.add_directory(path, os.stat(host).st_mode & 0o7777)
            for name in sorted(os.listdir(host)):
                self.add_host(f"{path}/{name}", f"{host}/{name}")
        else:
            with open(host, "rb") as file:
                self.add_file(path, file.read(), os.stat(host).st_mode & 0o7777)

    def finish(self):
        self._member("TRAILER!!!", 0, b"")

    def _member(self, path, mode, content):
        name = path.encode() + b"\0"
        if stat.S_ISREG(mode) and len(content) >= PAGE:
            name = self._aligned(name)
        self.inode += 1
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = [self.inode, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(name), 0]
        self._write(b"070701" + b"".join(b"%08x" % field for field in fields))
        self._write(name)
        self._pad()
        self._write(content)
        self._pad()

    def _aligned(self, name):
        """Lengthens a name so that the content after it starts on a page."""
        gap = -(self.offset + HEADER + len(name)) % PAGE
        if len(name) + gap > NAME_MAX:  # move on a little first, by naming the root once more
            self._member(".", stat.S_IFDIR | 0o755, b"")
            gap = -(self.offset + HEADER + len(name)) % PAGE
            if len(name) + gap > NAME_MAX:
                return self._aligned(name)
        return name + b"\0" * gap

    def _write(self, data):
        self.out.write(data)
        self.offset += len(data)

    def _pad(self):
        self._write(b"\0" * (-self.offset % 4))
