#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Files whose pages get other times (lib/tracedat/trace_dat_rewrite), read by the real trace-cmd.

Each event has a different text and a known time. rewrite_times assigns another time, and trace-cmd report must show
exactly that, for any version, compression, page size and times.
"""
import glob
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

sys.path.append(sys.path[0] + '/../lib')
from case import DATA, DONE, FAILED, Case, built, each, main
import peak_memory
import trace_dat
import trace_dat_writer as dat

REWRITE = built('tests/files/rewrite_times')
PRINT = dat.Format.load('ftrace', 'print')
BITS = (1 << 64) - 1
HOST_ID = 'fedcba9876543210'
LINE = re.compile(r'(?:\s*(\w*):)?.*?-(\d+)\s+\[(\d+)\].*?(\d+): print: .*?(event \d+ of \S*)')


class Recording:
    """A generated file and its contents"""
    def __init__(self, seed, page_size=4096, long_size=8, instances=0, cpus=2, events=150, absolute=False):
        self.random = random.Random(seed)
        self.page_size, self.long_size, self.events, self.absolute = page_size, long_size, events, absolute
        # (buffer, CPU, text): (time, number of the page, number in the page)
        self.truth = {}
        self.buffers = []
        for name in ['', *(f'i{number}' for number in range(instances))]:
            self.buffers.append(dat.Buffer(name, {cpu: self.cpu(name, cpu) for cpu in range(cpus)},
                                           page_size=page_size))

    def step(self):
        kind = self.random.randrange(20)
        return (0, (1 << 27) - 1, 1 << 27, 1 << 40, self.random.randrange(1 << 30))[kind] if kind < 5 else \
            self.random.randrange(3000)

    def cpu(self, name, cpu):
        writer = dat.PageWriter(self.page_size, self.long_size)
        time, page, number = 1 << 41, 0, 0
        for event in range(self.events):
            kind = self.random.randrange(30)
            if kind == 0:
                writer.lose(self.random.randrange(1, 100))
            elif kind == 1:
                writer.lose()
            elif kind == 2:
                writer.close_page()
            elif kind == 3:
                writer.discard()
            time += self.step()
            text = f'event {event} of {name}/{cpu}'
            # Sizes in the header and in a separate word; some events fill a page of 4 KiB quickly
            record = PRINT.record(100 + cpu, buf=(text + '\n').encode() + bytes(self.random.choice([1, 5, 90, 700])))
            read = writer.add(time, record, absolute=self.absolute and not self.random.randrange(4))
            if len(writer.finished) != page:
                page, number = len(writer.finished), 0
            self.truth[name, cpu, text] = read, page, number
            number += 1
        return [b''.join(writer.pages())]

    def write(self, path, **options):
        dat.write(path, self.buffers, [PRINT], page_size=self.page_size, long_size=self.long_size,
                  options=[(dat.TRACECLOCK, dat.clock_text('x86-tsc')), (dat.VERSION, b'3.1.6 (none)\0'),
                           (dat.UNAME, b'Linux\0'), (dat.TRACEID, struct.pack('<Q', 77)),
                           (dat.CPUSTAT, dat.stats_option(0, 1, 2)),
                           (dat.TSC2NSEC, struct.pack('<IIQ', 1 << 20, 20, 0)),
                           (dat.TIME_SHIFT, dat.time_shift_option(1, 1, [[(1, 2), (3, 4)]]))],
                  **options)


def shown(path):
    """({(buffer, CPU, text): time} of all events, stderr) of trace-cmd report without the file's options"""
    done = subprocess.run(['trace-cmd', 'report', '-N', '--raw-ts', '-t', '-i', path], capture_output=True, text=True,
                          errors='replace', check=True)
    found = [LINE.match(line) for line in done.stdout.splitlines() if ': print: ' in line]
    events = [((m[5].split(' of ')[1].split('/')[0], int(m[3]), m[5]), int(m[4])) for m in found]
    assert len(dict(events)) == len(events), 'an event is there twice'
    return dict(events), done.stderr


def dump(path, *arguments):
    done = subprocess.run(['trace-cmd', 'dump', *arguments, '-i', path], capture_output=True, text=True,
                          errors='replace', check=True)
    return done.stdout, done.stderr


class Base(Case):
    def rewrite(self, source, target, numerator=1, denominator=1, offset=0, mark=None, step=()):
        done = subprocess.run([REWRITE, *(['-s', *map(str, step)] if step else []), source, target, str(numerator),
                               str(denominator), str(offset & BITS), *([mark] if mark else [])],
                              capture_output=True, text=True, check=False, timeout=300)
        self.assertEqual((done.returncode, done.stderr), (DONE, ''))
        return int(done.stdout.split()[1])


# (numerator, denominator, offset): unchanged, scaled like a guest's, close together near 0, 2^20 apart so that each
# event needs a time extend
TIMES = {'same': (1, 1, 0), 'ratio 1.25': (5, 4, 12345), 'ratio 0.8': (4, 5, -(1 << 39)),
         'ratio 1.0001': (10001, 10000, 7), 'near': (1, 1 << 16, 0), 'far': (1 << 17, 1, 1)}
KINDS = [(6, 'none'), (7, 'none'), (7, 'zstd')]


@each({f'version {version} {compression}, {times}': (version, compression, times)
       for version, compression in KINDS for times in TIMES})
class TestTimes(Base):
    def one(self, version, compression, times):
        numerator, denominator, offset = TIMES[times]
        for number, page_size in enumerate((4096, 8192, 16384, 65536)):
            recording = Recording(f'{times} {page_size}', page_size, 8 - 4 * (number == 1), (0, 1, 3, 8)[number],
                                  absolute=number % 2)
            source, target = self.path('guest.dat'), self.path('copy.dat')
            recording.write(source, version=version, compression=compression)
            events = self.rewrite(source, target, numerator, denominator, offset, HOST_ID)
            self.assertEqual(events, len(recording.truth))
            wanted = {name: time * numerator // denominator + offset & BITS
                      for name, (time, _, _) in recording.truth.items()}
            found, errors = shown(target)
            self.assertEqual(found, wanted)
            self.assertEqual((errors, Path(source).stat().st_mode), ('', Path(target).stat().st_mode))


@each({f'version {version} {compression}': (version, compression) for version, compression in KINDS})
class TestSteps(Base):
    """Times that go back within a page, or far forward"""
    def one(self, version, compression):
        recording = Recording(5)
        source, target = self.path('guest.dat'), self.path('copy.dat')
        recording.write(source, version=version, compression=compression)
        for page, event, step in (0, 1, -(1 << 40)), (1, 2, -1000), (2, 0, -5), (1, 2, 1 << 60), (1, 1, 1 << 33):
            self.rewrite(source, target, step=(page, event, step & BITS))
            wanted = {name: time + (step if here == page and number >= event else 0) & BITS
                      for name, (time, here, number) in recording.truth.items()}
            self.assertEqual(shown(target)[0], wanted)


@each({f'version {version} {compression}': (version, compression) for version, compression in KINDS})
class TestOptions(Base):
    def options(self, path):
        """The output of dump about options, without offsets and sizes of data"""
        text, errors = dump(path, '--options')
        self.assertEqual(errors, '')
        return [re.sub(r'@ \d+|, \d+ bytes\]|^\d+ \[offset\]|^\d+$|^ +\d+ \d+\t.*|file .*:', '', line)
                for line in text.splitlines()]

    def one(self, version, compression):
        source, target = self.path('guest.dat'), self.path('copy.dat')
        Recording(3, instances=2).write(source, version=version, compression=compression, cmdlines='7 seven\n',
                                        kallsyms='0 T nothing\n', printk='0x1 : "x"\n')
        self.rewrite(source, target)
        self.assertEqual(self.options(target), self.options(source))
        for what in '--summary', '--cmd-lines', '--kallsyms', '--printk', '--head-page', '--ftrace-events', '--clock':
            text, errors = dump(target, what)
            self.assertEqual(errors, '')
            self.assertEqual(re.sub(r'\d+ bytes flyrecord|@ \d+|file .*:', '', text),
                             re.sub(r'\d+ bytes flyrecord|@ \d+|file .*:', '', dump(source, what)[0]))

    def marked(self, version, compression):
        """The mark remains in files that trace-cmd makes of the copy"""
        source, target = self.path('guest.dat'), self.path('copy.dat')
        Recording(3).write(source, version=version, compression=compression)
        self.rewrite(source, target, mark=HOST_ID)
        text = dump(target, '--options')[0]
        self.assertIn(f'3.1.6 (none); times of {HOST_ID} by tsc-offset', text)
        self.assertEqual(text.count('Option VERSION'), 1)
        self.assertNotIn('TimeShift', text)
        self.assertNotIn('TSC2NSEC', text)
        for command in (['convert', '--file-version', '7', '-i', target, '-o', self.path('converted.dat')],
                        ['split', '-i', target, '-o', self.path('split.dat')]):
            done = subprocess.run(['trace-cmd', *command], capture_output=True, text=True, check=True)
            self.assertNotIn('unknown', done.stdout + done.stderr)
        # split writes no options at all
        self.assertIn(f'times of {HOST_ID} by tsc-offset', dump(self.path('converted.dat'), '--options')[0])


def test_marked(kind):
    return lambda self: self.marked(*kind)


for kind in KINDS:
    setattr(TestOptions, f'test_marked_{kind[0]}_{kind[1]}', test_marked(kind))


class TestZlib(Base):
    """Not every trace-cmd can read zlib, so compare the pages with those of an uncompressed file"""
    def pages(self, path, compressed):
        data = Path(path).read_bytes()
        found = []
        for option, at, size in trace_dat.options(data):
            if option != dat.BUFFER:
                continue
            at += size - 2 * 20
            for _ in range(2):
                cpu, offset, size = struct.unpack_from('<IQQ', data, at)
                at += 20
                found.append((cpu, self.chunks(data, offset, size) if compressed else data[offset:offset + size]))
        return found

    def chunks(self, data, at, size):
        nr, = struct.unpack_from('<I', data, at)
        end, at = at + size, at + 4
        pages = b''
        for number in range(nr):
            packed, unpacked = struct.unpack_from('<II', data, at)
            pages += zlib.decompress(data[at + 8:at + 8 + packed])
            self.assertEqual(unpacked, 10 * 4096 if number < nr - 1 else len(pages) - number * 10 * 4096)
            at += 8 + packed
        self.assertEqual(at, end)
        return pages

    def test_pages(self):
        found = []
        for compression in 'none', 'zlib':
            Recording(9, instances=1, events=600).write(self.path(f'{compression}.dat'), compression=compression)
            self.rewrite(self.path(f'{compression}.dat'), self.path('copy.dat'), 5, 4)
            found.append(self.pages(self.path('copy.dat'), compression == 'zlib'))
        self.assertEqual(len(found[0]), 4)
        self.assertEqual(found[1], found[0])


class TestRecordings(Base):
    """Real recordings with unchanged times: trace-cmd report prints the same bytes"""
    def report(self, path):
        done = subprocess.run(['trace-cmd', 'report', '-N', '-i', 'name.dat'], cwd=os.path.dirname(path),
                              capture_output=True, check=False, timeout=120)
        return done.returncode, done.stdout, done.stderr

    def one(self, path):
        for directory in 'old', 'new':
            os.makedirs(self.path(directory), exist_ok=True)
        old, new = self.path('old', 'name.dat'), self.path('new', 'name.dat')
        shutil.copy(path, old)
        self.rewrite(old, new)
        self.assertEqual(self.report(new), self.report(old))

    def test_all(self):
        paths = glob.glob(f'{DATA}/**/*.dat', recursive=True)
        self.assertGreater(len(paths), 3)
        for path in paths:
            with self.subTest(path):
                self.one(path)

    def test_version_6(self):
        path = self.path('six.dat')
        subprocess.run(['trace-cmd', 'convert', '--file-version', '6', '-i', f'{DATA}/agent-moved/guest.dat', '-o', path],
                       capture_output=True, check=True)
        self.one(path)


class TestLosses(Base):
    """Losses stay at their places. Pages without an event are dropped, but not the losses before them."""
    def test_marks(self):
        def page(time, lost, number, text):
            writer = dat.PageWriter()
            if text:
                writer.add(time, PRINT.record(1, buf=text))
            flags = (dat.LOST if lost else 0) | (dat.LOST_STORED if number else 0)
            entries = b''.join(writer.entries)
            return (struct.pack('<QQ', time, len(entries) | flags) + entries +
                    (struct.pack('<Q', number) if number else b'')).ljust(4096, b'\0')

        pages = [bytes(4096), page(5, True, 3, b''), page(6, True, 4, b''), page(10, True, 9, b'a\n\0'), page(20, False, 0, b''),
                 page(30, True, 0, b'b\n\0'), page(35, True, 0, b''), page(40, True, 7, b''), page(50, False, 0, b'c\n\0'),
                 page(60, True, 6, b'')]
        source, target = self.path('guest.dat'), self.path('copy.dat')
        dat.write(source, [dat.Buffer('', {0: pages})], [PRINT])
        self.rewrite(source, target, 1, 1, 1000)
        data = Path(target).read_bytes()
        at = data.rindex(b'a\n\0') // 4096 * 4096 - 4096
        found = []
        while at < len(data) // 4096 * 4096:
            time, commit = struct.unpack_from('<QQ', data, at)
            size = commit & ((1 << 27) - 1)
            number = struct.unpack_from('<Q', data, at + 16 + size)[0] if commit & dat.LOST_STORED else 0
            found.append((time, bool(size), bool(commit & dat.LOST), number))
            at += 4096
        self.assertEqual(found[:6], [(1010, False, True, 7), (1010, True, True, 9), (1030, True, True, 0),
                                     (1050, False, True, 0), (1050, True, False, 0), (1050, False, True, 6)])


class TestHoles(Base):
    def test_terabyte(self):
        """Pages in a hole have no events, and take neither time nor space"""
        for version in 6, 7:
            source, target = self.path('guest.dat'), self.path('copy.dat')
            writer = dat.PageWriter()
            writer.add(1000, PRINT.record(1, buf=b'event 1 of /0\n\0'))
            first = writer.pages()
            writer.add(2000, PRINT.record(1, buf=b'event 2 of /0\n\0'))
            dat.write(source, [dat.Buffer('', {0: [*first, 1 << 40, *writer.pages()], 1: first})], [PRINT],
                      version=version)
            self.assertEqual(self.rewrite(source, target, 1, 1, 5), 3)
            self.assertLess(Path(target).stat().st_size, 1 << 20)
            done = subprocess.run(['trace-cmd', 'report', '-N', '-t', '-i', target], capture_output=True, text=True, check=True)
            self.assertEqual([line.count('event') for line in done.stdout.splitlines() if 'print' in line], [1] * 3)


class TestRefused(Base):
    """Files with parts that cannot be moved are refused with a reason, and nothing is written"""
    def refused(self, data, *words):
        source, target = Path(self.path('guest.dat')), Path(self.path('copy.dat'))
        source.write_bytes(data)
        done = subprocess.run([REWRITE, source, target, '1', '1', '0'], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, FAILED)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertEqual([path.name for path in self.directory.iterdir()], ['guest.dat'])

    def made(self, **options):
        Recording(1, events=5).write(self.path('guest.dat'), **options)
        return bytearray(Path(self.path('guest.dat')).read_bytes())

    def test_section_elsewhere(self):
        """KALLSYMS within another section"""
        data = self.made()
        option = struct.pack('<HIQ', dat.KALLSYMS, 8, 0)[:6]
        at = data.index(option) + 6
        there = struct.unpack_from('<Q', data, at)[0]
        begin = data.index(b'name: print')
        data[begin:begin + 16] = data[there:there + 16]
        struct.pack_into('<Q', data, at, begin)
        self.refused(data, 'section 19 is not at a section boundary')

    def test_event(self):
        """A damaged page: what follows is unknown"""
        data = self.made()
        at = data.rindex(b'event 4 of') - 16 - 8
        data[at:at + 8] = b'\x1c\xff\xff\xff\xff\xff\xff\xff'
        self.refused(data, 'damaged')

    def test_text(self):
        data = self.made(version=6)
        at = data.index(b'flyrecord\0')
        data[at:at + 10] = b'latency  \0'
        source, target = Path(self.path('guest.dat')), Path(self.path('copy.dat'))
        source.write_bytes(data)
        self.rewrite(source, target)
        self.assertEqual(target.read_bytes(), data)
        target.unlink()
        Recording(1, events=5, instances=1).write(source, version=6)
        data = bytearray(source.read_bytes())
        at = data.index(b'flyrecord\0')
        data[at:at + 10] = b'latency  \0'
        self.refused(data, 'text with instances')


class TestMemory(Base):
    def test_same(self):
        """Ten times as many events need no more memory"""
        writer, any_bytes = dat.PageWriter(), random.Random(1)
        while len(writer.finished) < 10:
            writer.add(1000 + len(writer.finished), PRINT.record(1, buf=any_bytes.randbytes(40)))
        pages = writer.take()
        for version, compression in KINDS:
            found = []
            for nr in 50, 500:
                dat.write(self.path('guest.dat'), [dat.Buffer('', {0: pages * nr})], [PRINT], version=version,
                          compression=compression)
                status, memory = peak_memory.peak_memory(REWRITE, self.path('guest.dat'), self.path('copy.dat'), 5, 4, 0,
                                                         stdout=subprocess.DEVNULL)
                self.assertEqual(status, DONE)
                found.append(memory)
            self.assertLess(found[1], found[0] + 512, found)


if __name__ == '__main__':
    main('trace-cmd')
