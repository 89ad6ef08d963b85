# SPDX-License-Identifier: GPL-2.0-only
# Copyright (C) 2026 the tsc-offset maintainers
"""Recordings that no kernel makes: small files that cost a reader without limits far too much time or memory. One
function for each kind writes host.dat and guest.dat into a directory; KINDS has the functions by name."""
import functools
import os
import struct

import trace_dat_writer as dat

HEAD = ('\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n'
        '\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n'
        '\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n'
        '\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n')
FIRST, STEP = 10 ** 9, 1000
OPTIONS = [(dat.TRACECLOCK, b'[x86-tsc]\0')]
PAGE = 4096
KINDS = {}


def kind(function):
    KINDS[function.__name__] = function
    return function


class Raw(dat.Format):
    """A format with any text, possibly invalid"""
    def __init__(self, system, name, number, fields='', print_format='""', common=HEAD):
        self.system, self.name, self.id = system, name, number
        self.text = f'name: {name}\nID: {number}\nformat:\n{common}\n{fields}\nprint fmt: {print_format}\n'
        self.fields = {field: (int(offset), int(size), int(signed))
                       for field, offset, size, signed in self.FIELD.findall(self.text)}
        self.size = 8


def field(declaration, offset, size, signed=0):
    return f'\tfield:{declaration};\toffset:{offset};\tsize:{size};\tsigned:{signed};\n'


NUMBER = field('u32 a', 8, 4)


def kvm_formats(directory='kvm'):
    return {name: dat.Format.load('kvm', name, where) for name, where in (
        ('kvm_entry', None), ('kvm_exit', None), ('kvm_write_tsc_offset', directory))}


@functools.lru_cache(1 << 18)
def record(form, tid, **values):
    """A record; each is made only once, because some files have a million of a few kinds"""
    return form.record(tid, **values)


def entries(formats, threads=((110, 0),), times=3, now=FIRST):
    """Each thread enters and leaves guest mode: (time, record)"""
    for _ in range(times):
        for tid, vcpu in threads:
            yield now, record(formats['kvm_entry'], tid, vcpu_id=vcpu, rip=1)
            yield now + STEP // 2, record(formats['kvm_exit'], tid, vcpu_id=vcpu, exit_reason=1, isa=1)
            now += STEP


def pages(events, size=PAGE):
    writer = dat.PageWriter(size)
    for time, record in events:
        writer.add(time, record)
        yield from writer.take()
    yield from writer.pages()


def full_pages(nr, first, data):
    """Pages full of equal small events, one cycle apart: they compress to almost nothing"""
    body = struct.pack('<I', 1 << 5 | len(data) // 4) + data
    events = (PAGE - 16) // len(body)
    return [struct.pack('<QQ', first + i * events, events * len(body)) + events * body +
            bytes(PAGE - 16 - events * len(body)) for i in range(nr)]


def change(formats, time=FIRST, tid=110, vcpu=0, previous=-500, offset=-400, **more):
    return time, record(formats['kvm_write_tsc_offset'], tid, vcpu_id=vcpu, previous_tsc_offset=previous,
                        next_tsc_offset=offset, **more)


def write(directory, name, cpus, formats, page_size=PAGE, options=(), **kwargs):
    """cpus: for each CPU its pages, or its events"""
    dat.write(os.path.join(directory, name),
              [dat.Buffer('', {cpu: data if isinstance(data, (list, bytes)) else pages(data, page_size)
                               for cpu, data in cpus.items()}, page_size=page_size)],
              formats, options=[*OPTIONS, *options], page_size=page_size, **kwargs)


def write_host(directory, threads=((110, 0),), **kwargs):
    formats = kvm_formats()
    write(directory, 'host.dat', {0: [*pages([change(formats), *entries(formats, threads)])]}, formats.values(),
          **kwargs)


def write_guest(directory, formats=(), records=3, cpus=(0,), cpu_data=None, payload=bytes(4), **kwargs):
    """Some events of the last format, at times that the host recorded"""
    formats = list(formats) or [Raw('test', 'any', 77, NUMBER)]
    number = formats[-1].id
    data = cpu_data or {cpu: [(FIRST - 400 + i, struct.pack('<HBBi', number, 0, 0, 5) + payload)
                              for i in range(records)] for cpu in cpus}
    write(directory, 'guest.dat', {cpu: [*pages(events)] if cpu_data is None else events
                                   for cpu, events in data.items()}, formats, **kwargs)


def write_both(directory, guest_formats=(), **kwargs):
    write_host(directory)
    write_guest(directory, guest_formats, **kwargs)


@kind
def many_words(directory):
    """Fields of half a million words: libtraceevent appends each to those before"""
    formats = kvm_formats()
    records = [change(formats), *entries(formats)]
    for item in formats.values():
        item.text = item.text.replace('\tfield:', '\tfield:' + 'a ' * 520_000, 1)
    write(directory, 'host.dat', {0: [*pages(records)]}, formats.values(), compression='zstd')
    write_guest(directory)


@kind
def version_6(directory):
    """The same in a guest's file that trace-cmd has to convert"""
    write_host(directory)
    write_guest(directory, [Raw('test', 'words', 77, field('a ' * 520_000, 8, 4))], version=6)


@kind
def many_words_to_print(directory):
    """The same in print formats, of which there are many"""
    write_both(directory, [Raw('test', f'e{i}', 100 + i, NUMBER, '"%d", ' + 'a ' * 30_000) for i in range(200)],
               compression='zstd')


@kind
def many_fields(directory):
    """Names, each of which is searched for among all fields"""
    fields = ''.join(field(f'u32 a{i}', 8, 4) for i in range(5000))
    write_both(directory, [Raw('test', f'e{i}', 100 + i, fields, '"%d", ' + 'REC->a4999 + ' * 20_000 + '1')
                           for i in range(30)], compression='zstd')


@kind
def fields_in_bounds(directory):
    """As many fields and names in each format as are accepted"""
    fields = ''.join(field(f'u32 a{i}', 8, 4) for i in range(250))
    write_both(directory, [Raw('test', f'e{i}', 100 + i, fields, '"%d"' + ', REC->a249' * 4000)
                           for i in range(300)], compression='zstd')


@kind
def many_formats(directory):
    """Formats, each of which libtraceevent inserts before all earlier ones"""
    write_both(directory, [Raw('test', f'e{i}', i, common='', print_format='""') for i in range(600_000, 0, -1)],
               compression='zstd')


@kind
def all_formats(directory):
    """As many event numbers as exist"""
    write_both(directory, [Raw('test', f'e{i}', i, NUMBER, '"%d", REC->a') for i in range(16_300, 0, -1)],
               compression='zstd', records=1000)


@kind
def deep(directory):
    """Nested brackets"""
    write_both(directory, [Raw('test', f'e{i}', 100 + i, NUMBER, '"%d", ' + '(' * 16_000 + 'REC->a' + ')' * 16_000)
                           for i in range(200)], compression='zstd')


@kind
def deep_signs(directory):
    """Nested operations, which need memory and depth"""
    write_both(directory, [Raw('test', f'e{i}', 100 + i, NUMBER, '"%d", ' + '~(' * 100 + 'REC->a' + ')' * 100)
                           for i in range(2000)], compression='zstd')


@kind
def chains(directory):
    """Operations in a row"""
    write_both(directory, [Raw('test', f'e{i}', 100 + i, NUMBER, '"%d", ' + '~-+' * 5 + 'REC->a' +
                               ' ? 1 : ~-+~-+~-+REC->a' * 600) for i in range(100)], compression='zstd')


@kind
def killers(directory):
    """Formats some of which crash libtraceevent 1.7.1"""
    bad = ('"%s", __print_flags(REC->nosuch, "|", { 1, "a" })', '"%d", REC->a / REC->a * (1/0)',
           '"%s", __print_symbolic(REC->nosuch, { 1, "a" })', '"%d", (1/0)', '"%d", 1 % 0')
    formats = [Raw('test', f'bad{i}', 100 + i, NUMBER, bad[i % len(bad)]) for i in range(200)]
    write_both(directory, [*formats, Raw('test', 'good', 50, NUMBER, '"%d", REC->a'),
                           Raw('test', 'last', 101, NUMBER)])


@kind
def unclosed(directory):
    """The end of a bracket is searched after the end of the text"""
    formats = kvm_formats()
    records = [change(formats), *entries(formats)]
    text = formats['kvm_entry'].text
    formats['kvm_entry'].text = text[:text.index('\tfield:')] + '\tfield:int a[\x01'
    write(directory, 'host.dat', {0: [*pages(records)]}, formats.values())
    write_guest(directory)


@kind
def attribute_first(directory):
    """A type that begins with an attribute"""
    formats = kvm_formats()
    records = [change(formats), *entries(formats)]
    formats['kvm_exit'].text = formats['kvm_exit'].text.replace('\tfield:', '\tfield:__attribute__((user)) ', 1)
    write(directory, 'host.dat', {0: [*pages(records)]}, formats.values())
    write_guest(directory)


@kind
def wide(directory, records=200):
    """A line of 20 MB for each event"""
    write_both(directory, [Raw('test', 'wide', 77, NUMBER, '"' + '%999d' * 12_000 + '"' + ', 1' * 12_000)],
               records=records, compression='zstd')


@kind
def wide_in_bounds(directory):
    """Lines of the greatest permitted length, from small events"""
    write_both(directory, [Raw('test', 'wide', 77, '', '"' + '%999d' * 60 + '"' + ', 1' * 60)],
               records=1_000_000, payload=b'', compression='zstd')


@kind
def short_records(directory):
    """An array that exceeds the record"""
    write_both(directory, [Raw('test', 'array', 77, field('int a[250000]', 8, 1_000_000), '"%*d", REC->a')],
               records=200)


@kind
def many_names(directory):
    """Names of flags that are searched without success"""
    names = ', '.join(f'{{ {i}, "a" }}' for i in range(2 ** 20, 2 ** 20 + 2500))
    write_both(directory, [Raw('test', 'flags', 77, NUMBER, f'"%s", __print_symbolic(REC->a, {names})')],
               records=500_000, compression='zstd')


@kind
def copies(directory):
    """The rest of the record, a thousand times"""
    fields = field('__data_loc char[] t', 8, 4)
    write_both(directory, [Raw('test', 'copies', 77, fields, '"' + '%s' * 1000 + '"' + ', __get_str(t)' * 1000)],
               records=5000, payload=struct.pack('<HH', 12, 2900) + b'x' * 2900, compression='zstd')


@kind
def symbols_as_words(directory):
    """Words of formats that are not numbers, each of which may be the name of a function"""
    words = [f'w{i}' for i in range(7000)]
    write_both(directory, [Raw('test', f'e{i}', 1000 - i, NUMBER, '"%d", ' + ' + '.join(words)) for i in range(50)],
               records=100, compression='zstd', kallsyms=''.join(f'{i:x} t s{i}\n' for i in range(500_000)))


@kind
def bprint_without_fmt(directory):
    write_both(directory, [Raw('ftrace', 'bprint', 6, field('unsigned long ip', 8, 8) + field('u32 buf[]', 16, 0),
                               '"%ps: %s", (void *)REC->ip, REC->fmt')], payload=bytes(8))


@kind
def two_bprints(directory):
    """libtraceevent confuses the fields of the two"""
    def bprint(number, offset):
        return Raw('ftrace', 'bprint', number, field('unsigned long ip', offset, 8) +
                   field('const char * fmt', offset + 8, 8) + field('u32 buf[]', offset + 16, 0),
                   '"%ps: %s", (void *)REC->ip, REC->fmt')
    formats = [bprint(6, 900), bprint(7, 8)]
    write_host(directory)
    records = [(FIRST - 400, struct.pack('<HBBi', 6, 0, 0, 5) + bytes(1000)),
               *((FIRST - 399 + i, struct.pack('<HBBi', 7, 0, 0, 5) + bytes(16)) for i in range(1000))]
    write_guest(directory, formats, cpu_data={0: [*pages(records)]})


@kind
def kallsyms(directory, lines=2_000_000):
    write_both(directory, kallsyms='1 t a\n' * lines, compression='zstd')


@kind
def printk(directory, lines=1_000_000):
    write_both(directory, printk='0x1 : "abc"\n' * lines, compression='zstd')


@kind
def cmdlines(directory, lines=2_000_000):
    write_both(directory, cmdlines='1 ab\n' * lines, compression='zstd')


@kind
def many_vms(directory, vms=135_000):
    formats = kvm_formats('kvm-patched')
    events = (change(formats, FIRST + i, tid=110, vm_pid=110, vm_fd=1 + i) for i in range(vms))
    write(directory, 'host.dat', {0: [*pages(events)]}, formats.values(), compression='zstd')
    write_guest(directory)


@kind
def vms_in_bounds(directory):
    many_vms(directory, 131_000)


@kind
def many_vcpus(directory, vcpus=60_000):
    """vcpu_ids that fall while thread ids rise"""
    formats = kvm_formats('kvm-patched')
    events = (change(formats, FIRST + i, tid=1000 + i, vcpu=vcpus - i, vm_pid=110, vm_fd=1) for i in range(vcpus))
    write(directory, 'host.dat', {0: [*pages(events)]}, formats.values(), compression='zstd')
    write_guest(directory)


@kind
def vcpus_in_bounds(directory):
    many_vcpus(directory, 16_384)


@kind
def many_threads(directory, threads=140_000):
    formats = kvm_formats()
    events = [change(formats), *entries(formats, [(1000 + i, i) for i in range(threads)], 1)]
    write(directory, 'host.dat', {0: [*pages(events)]}, formats.values(), compression='zstd')
    write_guest(directory)


@kind
def threads_in_bounds(directory):
    """Threads without a VM between two threads of one VM"""
    formats = kvm_formats('kvm-patched')
    threads = [(1000 + i, i) for i in range(16_000)]
    events = [change(formats, vm_pid=110, vm_fd=1, tid=999), change(formats, FIRST + 1, vm_pid=110, vm_fd=1, tid=99_999),
              *entries(formats, threads, 1)]
    write(directory, 'host.dat', {0: [*pages(events)]}, formats.values(), compression='zstd')
    write_guest(directory)


@kind
def threads_of_all(directory):
    """The greatest number of threads, each of which is a VM by the order of threads"""
    formats = kvm_formats()
    events = [change(formats), *entries(formats, [(1000 + i, 0) for i in range(130_000)], 1)]
    write(directory, 'host.dat', {0: [*pages(events)]}, formats.values(), compression='zstd')
    write_guest(directory)


@kind
def one_thread(directory):
    """A thread of all vCPUs, and a GUEST option that names it repeatedly"""
    formats = kvm_formats()
    events = [change(formats), *entries(formats, [(1000, i) for i in range(16_000)], 1)]
    write(directory, 'host.dat', {0: [*pages(events)]}, formats.values(), compression='zstd',
          options=[(dat.GUEST, dat.guest_option('g', 1, [1000] * 16_000))] * 2)
    write_guest(directory)


PROBE = 'vcpu_load'


def probe_formats():
    return {**kvm_formats(), PROBE: dat.Format.load('tsc_offset', PROBE)}


def load(formats, time, tid=110, vcpu=0, vm=1, name=b'110-5\0', vm_pid=110, offset=-500, **more):
    return time, record(formats[PROBE], tid, vcpu_id=vcpu, vm=vm, vm_pid=vm_pid, vm_name=name, l1_offset=offset,
                        offset=offset, l1_ratio=1 << 32, frac_bits=32, **more)


def write_probes(directory, events, formats=None):
    """events: a function of the formats; an earlier event makes the guest's events correct"""
    formats = formats or probe_formats()
    write(directory, 'host.dat', {0: [*pages([load(formats, FIRST - 1), *entries(formats), *events(formats)])]},
          formats.values(), compression='zstd')
    write_guest(directory)


@kind
def names_of_probes(directory, probes=200):
    """Names that are long, missing, or outside of the record"""
    names = [b'', b'110', b'-110-5\0', b'110-5-5\0', b'110-99999999999999999999\0', b'4294967406-4294967301\0',
             b'110-5' * 600 + b'\0', b'9' * 3000 + b'-5\0', b'%n%n%n%s\0', b'\0' * 32, b'110-5' + b'\xff' * 11]
    places = [(0xffff, 0xffff), (0, 0xffff), (64, 0xffff), (64, 1), (70, 6), (71, 1), (28, 32)]

    def events(formats):
        offset = formats[PROBE].fields['vm_name'][0]
        for i in range(probes):
            at, record = load(formats, FIRST + 10 * STEP + i, vm=i, name=names[i % len(names)])
            if i % 2:
                record = record[:offset] + struct.pack('<HH', *places[i // 2 % len(places)]) + record[offset + 4:]
            yield at, record
    write_probes(directory, events)


@kind
def many_lives(directory, lives=135_000):
    """VMs in sequence with one name and one thread, which enters guest mode in each"""
    def events(formats):
        for i in range(lives):
            at = FIRST + (10 + i) * STEP
            yield load(formats, at, vm=2 + i)
            yield from entries(formats, times=1, now=at + 1)
    write_probes(directory, events)


@kind
def lives_in_bounds(directory):
    many_lives(directory, 131_000)


@kind
def lives_of_old_kernel(directory):
    """The same with many kvm_exit that do not have the vCPU"""
    formats = probe_formats()
    formats['kvm_exit'].text = formats['kvm_exit'].text.replace(' vcpu_id;', ' other_id;')
    write_probes(directory, lambda formats: (
        *(load(formats, FIRST + 10 * STEP + i, vm=2 + i) for i in range(130_000)),
        *entries(formats, times=1, now=FIRST + 140 * STEP),
        *((FIRST + 150 * STEP + i, formats['kvm_exit'].record(110, guest_rip=i * i)) for i in range(300_000))), formats)


@kind
def lives_by_number(directory):
    """VMs without a directory in debugfs, between which a thread alternates"""
    write_probes(directory, lambda formats: (
        load(formats, FIRST + 10 * STEP + i, vm=2 + i % 130_000, name=b'') for i in range(900_000)))


@kind
def alternating(directory):
    """Threads that alternate between two VMs, and run a vCPU of each"""
    write_probes(directory, lambda formats: (
        item for i in range(400_000)
        for item in (load(formats, FIRST + (10 + i) * STEP, tid=1000 + i % 30_000, vm=2 + i // 30_000 % 2,
                          name=b'110-%d\0' % (6 + i // 30_000 % 2)),
                     (FIRST + (10 + i) * STEP + 1, record(formats['kvm_entry'], 1000 + i % 30_000, vcpu_id=0)))))


@kind
def writes_of_probes(directory):
    """Writes that must all be kept, because no load precedes them"""
    formats = kvm_formats()
    formats[PROBE] = dat.Format.load('tsc_offset', 'write_offset')
    write_probes(directory, lambda formats: (
        load(formats, FIRST + 10 * STEP + i, offset=-500 + i % 2) for i in range(400_000)), formats)


@kind
def many_losses(directory, losses=60_000, vcpus=1):
    """A loss before each change"""
    formats = kvm_formats()
    writer = dat.PageWriter(512)
    for i in range(losses):
        writer.lose(1)
        writer.add(*change(formats, FIRST + i * STEP, vcpu=i % vcpus, tid=110 + i % vcpus, offset=-400 + i))
    write(directory, 'host.dat', {0: [*writer.pages()]}, formats.values(), compression='zstd', page_size=512)
    write_guest(directory)


@kind
def losses_of_vcpus(directory):
    many_losses(directory, 100_000, 16_000)


@kind
def many_cpus(directory):
    """CPUs that the guest does not have, and changes of an existing one"""
    formats = kvm_formats()
    events = []
    for i in range(1000):
        events.append(change(formats, FIRST + 10 * i * STEP, previous=-500 + i, offset=-499 + i))
        events.extend(entries(formats, times=1, now=FIRST + (10 * i + 1) * STEP))
    other = change(formats, FIRST + 10_000 * STEP, tid=111, vcpu=16_383)
    write(directory, 'host.dat', {0: [*pages([*events, other])]}, formats.values())
    first, last = ((FIRST + i * STEP, struct.pack('<HBBi', 77, 0, 0, 5) + bytes(4)) for i in (1, 9992))
    write_guest(directory, cpu_data={cpu: [*pages([first, last])] for cpu in (0, 16_383)})


@kind
def many_options(directory):
    """Counts of CPUs that do not exist, in existing buffers"""
    formats = kvm_formats()
    path = os.path.join(directory, 'host.dat')
    records = [*pages([change(formats), *entries(formats)])]
    dat.write(path, [dat.Buffer(name, {0: records}) for name in ('', *(f'i{i}' for i in range(1000)))],
              formats.values(), options=[*OPTIONS, *[(dat.CPUSTAT, b'CPU: 1\noverrun: 1\n\0')] * 30_000])
    write_guest(directory)


@kind
def many_buffers(directory):
    """Buffers with one name, for each of which all counts are read"""
    formats = kvm_formats()
    path = os.path.join(directory, 'host.dat')
    records = [*pages([change(formats), *entries(formats)])]
    dat.write(path, [dat.Buffer('', {0: records}), *(dat.Buffer('i', {0: records}) for i in range(1000))],
              formats.values(), options=[*OPTIONS, (dat.CPUSTAT, b'\nBuffer: i\n\0'),
                                         *[(dat.CPUSTAT, b'CPU: 1\noverrun: 1\n\0')] * 30_000])
    write_guest(directory)


@kind
def small_events(directory, megabytes=60):
    """Pages full of the smallest possible events, which compress to almost nothing"""
    write_host(directory)
    write_guest(directory, [Raw('test', 'small', 77, common=field('unsigned short common_type', 0, 2) +
                                field('unsigned short common_pid', 2, 2))],
                cpu_data={0: full_pages(megabytes << 8, FIRST - 400, struct.pack('<HH', 77, 0))}, compression='zstd')


@kind
def small_entries(directory, megabytes=60):
    """The same for the host's kvm_entry, whose fields have 32 bits and overlap"""
    formats = kvm_formats()
    formats['kvm_entry'] = Raw('kvm', 'kvm_entry', 77, common=field('unsigned short common_type', 0, 2) +
                               field('int common_pid', 2, 4), fields=field('u32 vcpu_id', 4, 4))
    records = [*pages([change(formats)]), *full_pages(megabytes << 8, FIRST, struct.pack('<HHI', 77, 110, 0))]
    write(directory, 'host.dat', {0: records}, formats.values(), compression='zstd')
    write_guest(directory)


@kind
def small_changes(directory, megabytes=60):
    """The smallest possible changes of an offset, none of which changes anything"""
    formats = kvm_formats()
    formats['kvm_write_tsc_offset'] = Raw(
        'kvm', 'kvm_write_tsc_offset', 77, common=field('unsigned short common_type', 0, 2) +
        field('unsigned short common_pid', 2, 2), fields=field('u8 vcpu_id', 3, 1) +
        field('u8 previous_tsc_offset', 3, 1) + field('u8 next_tsc_offset', 3, 1))
    write(directory, 'host.dat', {0: full_pages(megabytes << 8, FIRST, struct.pack('<HH', 77, 110))}, formats.values(),
          compression='zstd')
    write_guest(directory)


@kind
def many_tasks(directory):
    """Events of the host, each of a different thread"""
    formats = kvm_formats()
    other = Raw('test', 'other', 77, NUMBER)
    events = [change(formats), *entries(formats), *((FIRST + 10 ** 6 + i, struct.pack('<HBBiI', 77, 0, 0, i, 0))
                                                    for i in range(1_000_000))]
    write(directory, 'host.dat', {0: [*pages(events)]}, [*formats.values(), other], compression='zstd')
    write_guest(directory)


@kind
def bomb_of_sections(directory):
    """Sections of the largest permitted size, which are too large together"""
    write_both(directory, kallsyms='1 t a\n' * 5_000_000, printk='x\n' * 20_000_000, cmdlines='x\n' * 20_000_000,
               compression='zstd')


@kind
def bomb_of_chunks(directory):
    small_entries(directory, 400)


@kind
def hole(directory, size=1 << 40):
    """Pages in a hole; a file can have terabytes of them"""
    formats = kvm_formats()
    any_event = Raw('test', 'any', 77, NUMBER)
    def page(time):
        return [*pages([(time, struct.pack('<HBBi', 77, 0, 0, 5) + bytes(4))])]
    write(directory, 'host.dat', {0: [*pages([change(formats), *entries(formats)]), size,
                                      *pages(entries(formats, now=FIRST + 10 * STEP))]}, formats.values())
    write(directory, 'guest.dat', {0: [*page(FIRST - 400), size, *page(FIRST + 10 * STEP - 300)]}, [any_event])

