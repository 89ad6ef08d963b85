// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * boot-vmlinux: boot an uncompressed kernel from a disc, through its PVH entry.
 *
 * With Bochs, a distribution's bzImage would take more than a minute to decompress itself. Instead, a multiboot loader
 * (isolinux with mboot.c32) starts this program. Its first module is the kernel's vmlinux, whose arguments are the
 * kernel's, and the second is the initramfs. Both protocols start in flat 32-bit protected mode without paging, so this
 * program only copies the kernel to its linked address, and translates the loader's description of the machine.
 *
 * It is linked above any kernel, and loaders put modules after the program, so nothing overlaps.
 */
#include <stddef.h>
#include <stdint.h>

/* Multiboot specification, version 0.6.96 */
struct multiboot {
	uint32_t flags;
	uint32_t mem_lower;
	uint32_t mem_upper;
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count;
	uint32_t mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length;
	uint32_t mmap_addr;
};

struct multiboot_module {
	uint32_t start;
	uint32_t end;
	uint32_t cmdline;
	uint32_t reserved;
};

struct multiboot_region {
	uint32_t size;				/* of the following members */
	uint64_t addr;
	uint64_t len;
	uint32_t type;				/* as in PVH: the BIOS type */
} __attribute__((packed));

/* 64-bit ELF; the C library's <elf.h> is not available for 32-bit programs */
struct elf_header {
	uint8_t ident[32];
	uint64_t phoff;
	uint64_t shoff;
	uint32_t flags;
	uint16_t ehsize;
	uint16_t phentsize;
	uint16_t phnum;
};

struct elf_segment {
	uint32_t type;
	uint32_t flags;
	uint64_t offset;
	uint64_t vaddr;
	uint64_t paddr;
	uint64_t filesz;
	uint64_t memsz;
	uint64_t align;
};

struct elf_note {
	uint32_t namesz;
	uint32_t descsz;
	uint32_t type;
};

#define SEGMENT_LOAD		1
#define SEGMENT_NOTE		4

/* Xen's documentation of PVH: docs/misc/pvh.pandoc, start_info */
#define PVH_MAGIC		0x336ec578
#define PVH_ENTRY_NOTE		18
#define PVH_REGIONS		64

static struct pvh_start {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t modules;
	uint64_t module_list;
	uint64_t cmdline;
	uint64_t rsdp;				/* 0: to be searched for */
	uint64_t memory_map;
	uint32_t memory_map_entries;
	uint32_t reserved;
} start;

static struct pvh_module {
	uint64_t addr;
	uint64_t size;
	uint64_t cmdline;
	uint64_t reserved;
} initramfs;

static struct pvh_region {
	uint64_t addr;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
} regions[PVH_REGIONS];

static char cmdline[2048];

/* The begin of this program, from the linker */
extern char __executable_start[];

__attribute__((used)) static char stack[16384] __attribute__((aligned(16)));

__asm__(".pushsection .multiboot, \"a\"\n"
	".balign 4\n"
	".long 0x1badb002, 3, -(0x1badb002 + 3)\n"	/* 3: modules at page boundaries, a memory map */
	".popsection\n"
	".globl _start\n"
	"_start:\n"
	"	cld\n"
	"	movl $stack + 16384, %esp\n"
	"	pushl %ebx\n"
	"	call boot\n");

static void out(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void __attribute__((noreturn)) fail(const char *text)
{
	for (; *text; text++)
		out(0x3f8, *text);
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void copy(uint32_t to, uint32_t from, uint32_t len)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(len) : : "memory");
}

static void clear(uint32_t to, uint32_t len)
{
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(len) : "a"(0) : "memory");
}

/* The kernel's arguments: all but the first word, which is its file's name */
static void take_cmdline(const char *text)
{
	size_t len = 0;

	while (*text && *text != ' ')
		text++;
	while (*text && len < sizeof(cmdline) - 1)
		cmdline[len++] = *text++;
	if (*text)
		fail("boot-vmlinux: Kernel panic: arguments too long\n");
}

static void take_memory_map(const struct multiboot *info)
{
	uint32_t at = info->mmap_addr, n = 0;

	while (at < info->mmap_addr + info->mmap_length && n < PVH_REGIONS) {
		const struct multiboot_region *region = (void *)at;

		regions[n++] = (struct pvh_region) { region->addr, region->len, region->type, 0 };
		at += region->size + sizeof(region->size);
	}
	start.memory_map_entries = n;
}

static uint32_t aligned(uint32_t len)
{
	return (len + 3) & ~3u;
}

static uint32_t pvh_entry(uint32_t notes, uint32_t size)
{
	for (uint32_t at = notes; at < notes + size;) {
		const struct elf_note *note = (void *)at;
		uint32_t name = at + sizeof(*note);
		uint32_t desc = name + aligned(note->namesz);

		if (note->type == PVH_ENTRY_NOTE && *(uint32_t *)name == 0x006e6558) /* "Xen" */
			return *(uint32_t *)desc;
		at = desc + aligned(note->descsz);
	}
	return 0;
}

static uint32_t load(uint32_t elf)
{
	const struct elf_header *head = (void *)elf;
	const struct elf_segment *segment = (void *)(elf + (uint32_t)head->phoff);
	uint32_t entry = 0;

	for (int i = 0; i < head->phnum; i++, segment++) {
		uint32_t to = segment->paddr, from = elf + (uint32_t)segment->offset;
		uint32_t in_file = segment->filesz, in_memory = segment->memsz;

		if (segment->type == SEGMENT_NOTE && !entry)
			entry = pvh_entry(from, in_file);
		if (segment->type != SEGMENT_LOAD)
			continue;
		if (to + in_memory > (uint32_t)__executable_start)
			fail("boot-vmlinux: Kernel panic: it is too large\n");
		copy(to, from, in_file);
		clear(to + in_file, in_memory - in_file);
	}
	return entry;
}

__attribute__((used, noreturn)) static void boot(const struct multiboot *info)
{
	const struct multiboot_module *modules = (void *)info->mods_addr;
	uint32_t kernel, entry;

	if (info->mods_count != 2)
		fail("boot-vmlinux: Kernel panic: wants a kernel and an initramfs\n");
	kernel = modules[0].start;
	take_cmdline((char *)modules[0].cmdline);
	take_memory_map(info);
	initramfs.addr = modules[1].start;
	initramfs.size = modules[1].end - modules[1].start;
	start.magic = PVH_MAGIC;
	start.version = 1;
	start.modules = 1;
	start.module_list = (uint32_t)&initramfs;
	start.cmdline = (uint32_t)cmdline;
	start.memory_map = (uint32_t)regions;

	entry = load(kernel);
	if (!entry)
		fail("boot-vmlinux: Kernel panic: it has no PVH entry (CONFIG_PVH)\n");
	__asm__ volatile("jmp *%0" : : "r"(entry), "b"(&start) : "memory");
	__builtin_unreachable();
}
