# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Writes trace.dat files of the versions 6 and 7, see trace-cmd.dat.v6(5) and trace-cmd.dat.v7(5).

PageWriter fills ring buffer pages like the kernel, Format makes records of an event's format, and write() writes a
file. scenario.py determines the contents.
"""
import collections
import ctypes
import os
import re
import struct
import zlib

EVENTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'events')

# Options, and sections with the same numbers
DONE, CPUSTAT, BUFFER, TRACECLOCK, UNAME, CPUCOUNT, VERSION, TRACEID, TIME_SHIFT, GUEST, TSC2NSEC = \
    0, 2, 3, 4, 5, 8, 9, 11, 12, 13, 14
HEADER_INFO, FTRACE_EVENTS, EVENT_FORMATS, KALLSYMS, PRINTK, CMDLINES = range(16, 22)

CLOCKS = 'local', 'global', 'counter', 'uptime', 'perf', 'mono', 'mono_raw', 'boot', 'tai', 'x86-tsc'
PAGES_IN_CHUNK = 10

# The first word of an entry: 5 bits of type or length, 27 bits of time since the previous entry
TYPE_BITS, DELTA_BITS = 5, 27
PADDING, TIME_EXTEND, TIME_STAMP = 29, 30, 31
MAX_SMALL = 28 * 4
ABSOLUTE = (1 << 59) - 1
LOST, LOST_STORED = 1 << 31, 1 << 30


def align(number, to):
    return -(-number // to) * to


class PageWriter:
    """The pages of one CPU. Times are those of a clock, or relative ones for rebase()."""

    def __init__(self, page_size=4096, long_size=8):
        self.header = struct.Struct('<QQ' if long_size == 8 else '<QI')
        self.count = struct.Struct('<Q' if long_size == 8 else '<I')
        self.room = page_size - self.header.size
        self.finished = []
        self.lost = None
        self._start()

    def _start(self):
        self.entries = []
        self.used = 0

    def add(self, time, payload, absolute=False):
        """Write an event, with a time in the kernel's form or as an absolute time stamp.

        Returns the time that a reader will read. It differs if the clock went backward: the kernel then stores a
        difference of 0, until the next page has a new time.
        """
        payload += bytes(-len(payload) % 4)
        size = len(payload)
        small = 0 < size <= MAX_SMALL
        need = size + (4 if small else 8)
        delta = time - self.before if self.entries else 0
        # A clock that went backward: a time stamp with a difference of 0
        extended = delta < 0 or delta >> DELTA_BITS or absolute
        if self.entries and self.used + need + 8 * bool(extended) > self.room:
            self.close_page()
        if not self.entries:
            self.first = self.read = time
            delta, extended = 0, absolute
        if absolute:
            self._entry(TIME_STAMP, time & ABSOLUTE)
            self.read = time
            delta = 0
        elif extended:
            self._entry(TIME_EXTEND, max(delta, 0))
            self.read += max(delta, 0)
            delta = 0
        self.read += delta
        self.before = time
        if self.used + need > self.room:
            raise ValueError(f'a page has no room for an event of {size} bytes')
        if small:
            self.entries.append(struct.pack('<I', delta << TYPE_BITS | size // 4) + payload)
        else:
            self.entries.append(struct.pack('<II', delta << TYPE_BITS, size + 4) + payload)
        self.used += need
        return self.read

    def _entry(self, kind, time):
        self.entries.append(struct.pack('<II', (time & ((1 << DELTA_BITS) - 1)) << TYPE_BITS | kind,
                                        time >> DELTA_BITS))
        self.used += 8

    def discard(self, size=8):
        """An entry of an event that a filter discarded after its reservation"""
        if self.entries and self.used + 4 + size <= self.room:
            self.entries.append(struct.pack('<II', 1 << TYPE_BITS | PADDING, size) + bytes(size - 4))
            self.used += 4 + size
            self.before += 1
            self.read += 1

    def lose(self, number=None):
        """The ring buffer dropped events before the next one, with or without their number"""
        self.close_page()
        self.lost = -1 if number is None or self.lost == -1 else (self.lost or 0) + number

    def close_page(self):
        if not self.entries:
            return
        commit, tail = self.used, b''
        if self.lost is not None:
            commit |= LOST
            if self.lost >= 0 and self.used + self.count.size <= self.room:
                commit |= LOST_STORED
                tail = self.count.pack(self.lost)
            self.lost = None
        page = self.header.pack(self.first, commit) + b''.join(self.entries) + tail
        self.finished.append(page + bytes(self.room + self.header.size - len(page)))
        self._start()

    def take(self):
        """Take the pages that are full"""
        pages, self.finished = self.finished, []
        return pages

    def pages(self):
        """All pages, the last one as it is"""
        self.close_page()
        return self.take()


def page_time(page):
    return int.from_bytes(page[:8], 'little')


def rebase(pages, page_size, times, by):
    """Copies of pages with relative times, as one string of bytes and the times of each page"""
    copy = bytearray(pages)
    pack = struct.Struct('<Q').pack_into
    at = 0
    for time in times:
        pack(copy, at, (time + by) & 0xffffffffffffffff)
        at += page_size
    return copy


class Format:
    """The kernel's format of an event, and records of it"""
    FIELD = re.compile(r'\tfield:.*?(\w+)(?:\[\d*\])?;\toffset:(\d+);\tsize:(\d+);\tsigned:(\d);')
    CODES = {1: 'b', 2: 'h', 4: 'i', 8: 'q'}

    def __init__(self, system, text):
        self.system, self.text = system, text
        self.name = re.match(r'name: (\w+)\n', text)[1]
        self.id = int(re.search(r'^ID: (\d+)$', text, re.M)[1])
        self.fields = {name: (int(offset), int(size), int(signed))
                       for name, offset, size, signed in self.FIELD.findall(text)}
        self.size = max(offset + size for offset, size, _ in self.fields.values())
        # The fields that have the place of their text in the record
        self.texts = set(re.findall(r'field:__data_loc char\[\] (\w+);', text))
        # How numbers are stored in a record, by name: a record is made a million times
        self.numbers = {name: (struct.Struct('<' + self.CODES[size].upper()).pack_into, offset, (1 << 8 * size) - 1)
                        for name, (offset, size, _) in self.fields.items() if size in self.CODES and name not in self.texts}

    @classmethod
    def load(cls, system, name, directory=None):
        with open(os.path.join(EVENTS, directory or system, name, 'format')) as file:
            return cls(system, file.read())

    def record(self, pid, /, **values):
        """A record; bytes for arrays, which may exceed their size in the format if they are the last"""
        record = bytearray(align(self.size, 8))
        for name, value in {'common_type': self.id, 'common_pid': pid, **values}.items():
            if name in self.numbers and not isinstance(value, bytes):
                pack_into, offset, mask = self.numbers[name]
                pack_into(record, offset, value & mask)
                continue
            offset, size, _ = self.fields[name]
            if name in self.texts:
                struct.pack_into('<HH', record, offset, len(record), len(value))
                record += value
            elif isinstance(value, bytes):
                record[offset:offset + (size or len(record))] = value.ljust(size, b'\0')
            else:
                raise ValueError(f'{self.name}.{name} is not a number')
        return bytes(record)


def compressor(name):
    """A function that compresses one block"""
    if name == 'zlib':
        return lambda data: zlib.compress(data, 6)
    if name == 'zstd':
        lib = ctypes.CDLL('libzstd.so.1')
        lib.ZSTD_compressBound.restype = lib.ZSTD_compress.restype = ctypes.c_size_t
        lib.ZSTD_compressBound.argtypes = [ctypes.c_size_t]
        lib.ZSTD_compress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p,
                                      ctypes.c_size_t, ctypes.c_int]

        def compress(data):
            room = lib.ZSTD_compressBound(len(data))
            out = ctypes.create_string_buffer(room)
            size = lib.ZSTD_compress(out, room, bytes(data), len(data), 3)
            if size > room:
                raise OSError('libzstd cannot compress')
            return out.raw[:size]
        return compress
    if name != 'none':
        raise ValueError(f'unknown compression {name}')
    return None


class Buffer:
    """The top buffer (name '') or that of an instance.

    cpus: {number of the CPU: an iterable of bytes, whole pages}; read once, while the file is written.
    """

    def __init__(self, name, cpus, clock='x86-tsc', page_size=4096):
        self.name, self.cpus, self.clock, self.page_size = name, cpus, clock, page_size


def clock_text(clock):
    return ' '.join(f'[{name}]' if name == clock else name for name in CLOCKS).encode() + b'\n\0'


def guest_option(name, trace_id, tids):
    """GUEST, in the host's file: the host's thread for each CPU of the guest"""
    return name.encode() + b'\0' + struct.pack('<QI', trace_id, len(tids)) + \
        b''.join(struct.pack('<II', *pair) for pair in enumerate(tids))


def time_shift_option(peer, flags, cpus):
    """TIME_SHIFT, in the guest's file; for each CPU a list of (guest time, correction)"""
    payload = struct.pack('<QII', peer, flags, len(cpus))
    for samples in cpus:
        times, corrections = zip(*samples)
        payload += struct.pack(f'<I{3 * len(samples)}q', len(samples), *times, *corrections,
                               *[1] * len(samples))
    return payload + b''.join(bytes(8 * len(samples)) for samples in cpus)


def stats_option(cpu, overrun=0, read=0, dropped=0):
    """CPUSTAT, one for each CPU"""
    return (f'CPU: {cpu}\nentries: 0\noverrun: {overrun}\ncommit overrun: 0\nbytes: 0\n'
            f'oldest event ts: 0\nnow ts: 0\ndropped events: {dropped}\nread events: {read}\n\0').encode()


def header_info(long_size, page_size):
    """The texts header_page and header_event of a kernel with such a long"""
    def text(name):
        with open(os.path.join(EVENTS, name)) as file:
            return file.read()
    page = text('header_page').replace('commit;\toffset:8;\tsize:8', f'commit;\toffset:8;\tsize:{long_size}')
    page = re.sub(r'char data;\toffset:\d+;\tsize:\d+',
                  f'char data;\toffset:{8 + long_size};\tsize:{page_size - 8 - long_size}', page)
    return b''.join(name + b'\0' + struct.pack('<Q', len(content)) + content.encode()
                    for name, content in ((b'header_page', page), (b'header_event', text('header_event'))))


def event_formats(formats):
    """Formats of the system ftrace, and those of all others"""
    systems = collections.defaultdict(list)
    for item in formats:
        systems[item.system].append(struct.pack('<Q', len(item.text)) + item.text.encode())
    ftrace = systems.pop('ftrace', [])
    return struct.pack('<I', len(ftrace)) + b''.join(ftrace), \
        struct.pack('<I', len(systems)) + b''.join(
            name.encode() + b'\0' + struct.pack('<I', len(texts)) + b''.join(texts)
            for name, texts in systems.items())


class Writer:
    """A file being written; use it through write()"""

    def __init__(self, file, version, compression, page_size, long_size, count_in_size):
        self.file, self.version, self.compress = file, version, compressor(compression)
        self.long_size = long_size
        self.count_in_size = count_in_size
        if version not in (6, 7) or (version == 6 and self.compress):
            raise ValueError('there is no such version of the file, or it cannot be compressed')
        file.write(b'\x17\x08\x44tracing' + b'%d\0' % version + struct.pack('<BBI', 0, 8, page_size))
        if version == 7:
            file.write(compression.encode() + b'\0' + b'1.0\0')
            self.link = file.tell()
            file.write(bytes(8))

    def patch(self, at, data):
        end = self.file.tell()
        self.file.seek(at)
        self.file.write(data)
        self.file.seek(end)

    def section(self, number, payload):
        """A section of version 7; options are never compressed. Returns its place."""
        at = self.file.tell()
        compressed = self.compress and number != DONE
        if compressed:
            packed = self.compress(payload)
            payload = struct.pack('<II', len(packed), len(payload)) + packed
        self.file.write(struct.pack('<HHIQ', number, compressed is not None and number != DONE, 0,
                                    len(payload)) + payload)
        return at

    def options_7(self, options):
        """A section of options, which the one before it then links to"""
        payload = b''.join(struct.pack('<HI', number, len(data)) + data for number, data in options)
        payload += struct.pack('<HIQ', DONE, 8, 0)
        at = self.section(DONE, payload)
        self.patch(self.link, struct.pack('<Q', at))
        self.link = self.file.tell() - 8

    def cpu_data(self, pages, page_size):
        """Returns the place of a CPU's data and its size for the file"""
        start = align(self.file.tell(), page_size)
        self.file.seek(start)
        if not self.compress:
            for data in pages:
                # A number is a hole of this size
                if isinstance(data, int):
                    self.file.truncate(self.file.seek(data, os.SEEK_CUR))
                else:
                    self.file.write(data)
            return start, self.file.tell() - start
        chunk, count, pending = page_size * PAGES_IN_CHUNK, 0, bytearray()
        self.file.write(bytes(4))
        for data in pages:
            pending += data
            at = 0
            while len(pending) - at >= chunk:
                count += self.chunk(pending[at:at + chunk])
                at += chunk
            del pending[:at]
        if pending:
            count += self.chunk(pending)
        if not count:
            return start, 0
        self.patch(start, struct.pack('<I', count))
        # trace-cmd 3.2 and later include the number of chunks, older ones do not
        return start, self.file.tell() - start - (0 if self.count_in_size else 4)

    def chunk(self, data):
        packed = self.compress(data)
        self.file.write(struct.pack('<II', len(packed), len(data)) + packed)
        return 1

    def buffer_7(self, buffer):
        """Returns the option BUFFER"""
        at = self.file.tell()
        self.file.write(struct.pack('<HHIQ', BUFFER, self.compress is not None, 0, 0))
        cpus = [(cpu, *self.cpu_data(pages, buffer.page_size)) for cpu, pages in buffer.cpus.items()]
        self.patch(at + 8, struct.pack('<Q', self.file.tell() - at - 16))
        return struct.pack('<Q', at) + buffer.name.encode() + b'\0' + buffer.clock.encode() + b'\0' + \
            struct.pack('<II', buffer.page_size, len(cpus)) + \
            b''.join(struct.pack('<IQQ', *cpu) for cpu in cpus)

    def buffer_6(self, buffer, nr_cpus):
        """Returns the offset of the buffer's part, which begins with "flyrecord"."""
        at = self.file.tell()
        self.file.write(b'flyrecord\0')
        table = self.file.tell()
        self.file.write(bytes(16 * nr_cpus))
        text = clock_text(buffer.clock)
        self.file.write(struct.pack('<Q', len(text)) + text)
        for cpu, pages in buffer.cpus.items():
            self.patch(table + 16 * cpu, struct.pack('<QQ', *self.cpu_data(pages, buffer.page_size)))
        return at


def write(path, buffers, formats, version=7, compression='none', options=(), cmdlines='', kallsyms='',
          printk='', nr_cpus=None, page_size=4096, long_size=8, count_in_size=False):
    """Write a file.

    buffers: of class Buffer, the top buffer first. formats: of class Format.
    options: (number, payload), in this order; those with places in the file and CPUCOUNT are added.
    cmdlines, kallsyms, printk: texts as in tracefs. nr_cpus: of the machine.
    count_in_size: set the size of compressed data as trace-cmd 3.2 and later do.
    """
    nr_cpus = nr_cpus or max((cpu + 1 for buffer in buffers for cpu in buffer.cpus), default=1)
    ftrace, events = event_formats(formats)
    head = header_info(long_size, page_size)
    texts = [text.encode() for text in (kallsyms, printk, cmdlines)]
    with open(path, 'wb') as file:
        writer = Writer(file, version, compression, page_size, long_size, count_in_size)
        if version == 7:
            parts = ((HEADER_INFO, head), (FTRACE_EVENTS, ftrace), (EVENT_FORMATS, events),
                     (KALLSYMS, struct.pack('<I', len(texts[0])) + texts[0]),
                     (PRINTK, struct.pack('<I', len(texts[1])) + texts[1]),
                     (CMDLINES, struct.pack('<Q', len(texts[2])) + texts[2]))
            places = [(number, struct.pack('<Q', writer.section(number, data)))
                      for number, data in parts]
            writer.options_7([*places, *options, (CPUCOUNT, struct.pack('<I', nr_cpus))])
            writer.options_7([(BUFFER, writer.buffer_7(buffer)) for buffer in buffers])
            return
        file.write(head + ftrace + events)
        file.write(struct.pack('<I', len(texts[0])) + texts[0])
        file.write(struct.pack('<I', len(texts[1])) + texts[1])
        file.write(struct.pack('<Q', len(texts[2])) + texts[2])
        file.write(struct.pack('<I', nr_cpus) + b'options  \0')
        top, instances = buffers[0], buffers[1:]
        if top.name:
            top, instances = Buffer('', {}), buffers
        patches = []
        for number, data in (*options, *((BUFFER, bytes(8) + buffer.name.encode() + b'\0')
                                         for buffer in instances)):
            file.write(struct.pack('<HI', number, len(data)))
            if number == BUFFER:
                patches.append(file.tell())
            file.write(data)
        file.write(struct.pack('<H', DONE))
        writer.buffer_6(top, nr_cpus)
        for at, buffer in zip(patches, instances):
            writer.patch(at, struct.pack('<Q', writer.buffer_6(buffer, nr_cpus)))
