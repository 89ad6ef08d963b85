// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* What command lines contain: those of each VMM as it is usually started, and misleading ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm_command_line.h"

/* Words separated by bars; no word of these tests has one */
static const struct {
	const char	*words;
	const char	*vmm;
	const char	*name;
	uint32_t	cid;		/* 0: none */
	const char	*socket;
	const char	*api_socket;
	const char	*config_file;
} lines[] = {
	/* QEMU started by hand */
	{ .words = "qemu-system-x86_64|-enable-kvm|-name|web1|-device|vhost-vsock-pci,guest-cid=3", "QEMU", "web1", 3 },
	{ .words = "/usr/bin/qemu-system-x86_64|--name|web1,process=vm1|--device|vhost-vsock-device,id=v,guest-cid=0x1F",
	  "QEMU", "web1", 31 },
	{ .words = "qemu-system-s390x|-name|debug-threads=on,guest=z|-device|vhost-vsock-ccw,guest-cid=4294967294", "QEMU", "z",
	  4294967294 },
	{ .words = "/usr/libexec/qemu-kvm|-name|a,,b=c,,,,d,debug-threads=on", "QEMU", NULL },
	{ .words = "/usr/libexec/qemu-kvm|-name|guest=a,,b=c,,,,d,debug-threads=on", "QEMU", "a,b=c,,d" },
	{ .words = "kvm|-name|a,,b", "QEMU", "a,b" },
	{ .words = "qemu-system-x86_64|-name|first|-name|second", "QEMU", "second" },
	{ .words = "qemu-system-x86_64|-m|1G", "QEMU" },
	/* libvirt */
	{ .words = "/usr/bin/qemu-system-x86_64|-name|guest=web 1,debug-threads=on|-S|-object|"
	  "{\"qom-type\":\"secret\",\"id\":\"masterKey0\"}|-device|"
	  "{\"driver\":\"vhost-vsock-pci\",\"id\":\"vsock0\",\"guest-cid\":42,\"vhostfd\":\"31\",\"bus\":\"pci.7\"}",
	  "QEMU", "web 1", 42 },
	{ .words = "qemu-system-x86_64|-device|{ \"guest-cid\" : 42 , \"driver\" : \"vhost-vsock-pci\" }", "QEMU", NULL,
	  42 },
	{ .words = "qemu-system-x86_64|-device|{\"driver\":\"virtio-net-pci\",\"guest-cid\":42}", "QEMU" },
	{ .words = "qemu-system-x86_64|-device|{\"id\":\"\\\"guest-cid\\\":5\",\"driver\":\"vhost-vsock-pci\",\"guest-cid\":7}",
	  "QEMU", NULL, 7 },
	{ .words = "qemu-system-x86_64|-device|virtio-net-pci,guest-cid=3", "QEMU" },
	{ .words = "qemu-system-x86_64|-device|driver=vhost-vsock-pci,guest-cid=3", "QEMU", NULL, 3 },
	/* Arguments for the guest are not options of QEMU */
	{ .words = "qemu-system-x86_64|-append|-name=x guest-cid=9|-name|y", "QEMU", "y" },
	/* Firecracker, alone and by its jailer */
	{ .words = "./firecracker|--id|fc1|--api-sock|/tmp/fc.sock|--config-file|vm.json", "Firecracker", "fc1", 0,
	  NULL, "/tmp/fc.sock", "vm.json" },
	{ .words = "/firecracker-v1.7.0-x86_64|--id=551e7604|--start-time-us=1|--parent-cpu-time-us=2", "Firecracker",
	  "551e7604", 0, NULL, "/run/firecracker.socket" },
	/* Cloud Hypervisor */
	{ .words = "cloud-hypervisor|--kernel|k|--vsock|cid=3,socket=/tmp/ch.vsock|--api-socket|path=/run/ch/web2.sock",
	  "Cloud Hypervisor", "web2", 3, "/tmp/ch.vsock", "/run/ch/web2.sock" },
	{ .words = "cloud-hypervisor|--api-socket=/run/web3-socket|--platform|uuid=1,serial_number=db", "Cloud Hypervisor", "db",
	  0, NULL, "/run/web3-socket" },
	{ .words = "cloud-hypervisor-static|--api-socket|fd=3|--vsock|socket=v", "Cloud Hypervisor", NULL, 0, "v" },
	{ .words = "cloud-hypervisor|--api-socket|.sock", "Cloud Hypervisor", ".sock", 0, NULL, ".sock" },
	{ .words = "cloud-hypervisor|--api-socket|/run/", "Cloud Hypervisor", NULL, 0, NULL, "/run/" },
	/* crosvm */
	{ .words = "crosvm|run|--name|cr|--cid|5|bzImage", "crosvm", "cr", 5 },
	{ .words = "/opt/crosvm|run|--vsock|cid=6,device=/dev/vhost-vsock", "crosvm", NULL, 6 },
	{ .words = "crosvm|run|--vsock|7", "crosvm", NULL, 7 },
	/* kvmtool */
	{ .words = "lkvm|run|--name|kt|--vsock|8", "kvmtool", "kt", 8 },
	{ .words = "./lkvm-static|run|-n|kt2", "kvmtool", "kt2" },
	/* An unknown VMM: QEMU's property is accepted */
	{ .words = "my-vmm|--name|x|--vsock|guest-cid=11", NULL, NULL, 11 },
	{ .words = "my-vmm|{\"guest-cid\": 12}", NULL, NULL, 12 },
	{ .words = "my-vmm|guest-cid=|guest=3", NULL },
	/* Words that end too early, and invalid numbers */
	{ .words = "qemu-system-x86_64|-name", "QEMU" },
	{ .words = "qemu-system-x86_64|-name|", "QEMU" },
	{ .words = "qemu-system-x86_64|-name||", "QEMU" },
	{ .words = "qemu-system-x86_64|-name|guest=", "QEMU" },
	{ .words = "qemu-system-x86_64|-|--|---name|x", "QEMU" },
	{ .words = "qemu-system-x86_64|-device|", "QEMU" },
	{ .words = "qemu-system-x86_64|-device|{", "QEMU" },
	{ .words = "qemu-system-x86_64|-device|{\"driver", "QEMU" },
	{ .words = "qemu-system-x86_64|-device|{\"driver\":\"vhost-vsock-pci", "QEMU" },
	{ .words = "qemu-system-x86_64|-device|{\"driver\":\"vhost-vsock-pci\",\"guest-cid\":", "QEMU" },
	{ .words = "qemu-system-x86_64|-device|{\"driver\":\"vhost-vsock-pci\\", "QEMU" },
	{ .words = "qemu-system-x86_64|-device|,,,,,", "QEMU" },
	{ .words = "qemu-system-x86_64|-device|vhost-vsock-pci,guest-cid=2", "QEMU" },
	{ .words = "qemu-system-x86_64|-device|vhost-vsock-pci,guest-cid=4294967295", "QEMU" },
	{ .words = "qemu-system-x86_64|-device|vhost-vsock-pci,guest-cid=99999999999999999999", "QEMU" },
	{ .words = "qemu-system-x86_64|-device|vhost-vsock-pci,guest-cid=-5", "QEMU" },
	{ .words = "qemu-system-x86_64|-device|vhost-vsock-pci,guest-cid=3x", "QEMU" },
	{ .words = "", NULL },
	{ .words = "|||", NULL },
	{ .words = "/", NULL },
};

#define NR_LINES	(sizeof(lines) / sizeof(lines[0]))

static void assert_text(const char *is, const char *wanted)
{
	if (!wanted)
		assert_null(is);
	else
		assert_string_equal(is, wanted);
}

static void check(size_t i, const char *text, size_t size)
{
	struct vmm_command_line line;

	assert_int_equal(vmm_command_line_parse(&line, text, size), 0);
	assert_text(line.vmm, lines[i].vmm);
	assert_text(line.name, lines[i].name);
	assert_int_equal(line.has_cid, lines[i].cid != 0);
	assert_int_equal(line.cid, lines[i].cid);
	assert_text(line.socket, lines[i].socket);
	assert_text(line.api_socket, lines[i].api_socket);
	assert_text(line.config_file, lines[i].config_file);
	vmm_command_line_release(&line);
}

static void test_lines(void **state)
{
	for (size_t i = 0; i < NR_LINES; i++) {
		size_t size = strlen(lines[i].words);
		/* An allocation of the exact size, so that a sanitizer detects reads beyond it */
		char *text = malloc(size + 1);

		memcpy(text, lines[i].words, size + 1);
		print_message("%s\n", text);
		for (size_t c = 0; c < size; c++) {
			if (text[c] == '|')
				text[c] = '\0';
		}
		check(i, text, size + 1);
		text = realloc(text, size ? size : 1);
		/* The result is the same without the last zero, unless the last word is empty */
		if (size && text[size - 1])
			check(i, text, size);
		free(text);
	}
}

/* A value with as many parts as fit. If the time grew with their square, the test would exceed meson's time limit. */
static void test_many_parts(void **state)
{
	static const char begin[] = "qemu-system-x86_64\0-device\0vhost-vsock-pci,", end[] = "guest-cid=7";
	size_t size = 1 << 20, first = sizeof(begin) - 1, last = size - sizeof(end);
	char *text = malloc(size);
	struct vmm_command_line line;

	assert_non_null(text);
	memcpy(text, begin, first);
	for (size_t i = first; i < last; i++)
		text[i] = (last - i) % 2 ? ',' : 'a';
	memcpy(text + last, end, sizeof(end));
	for (int i = 0; i < 10; i++) {
		assert_int_equal(vmm_command_line_parse(&line, text, size), 0);
		assert_true(line.has_cid);
		assert_int_equal(line.cid, 7);
		vmm_command_line_release(&line);
	}
	free(text);
}

static void test_none(void **state)
{
	struct vmm_command_line line;

	assert_int_equal(vmm_command_line_parse(&line, NULL, 0), 0);
	assert_null(line.program);
	vmm_command_line_release(&line);
	/* A kernel thread has no command line, nor does a process that has ended */
	assert_true(vmm_command_line_read(&line, 0) < 0);
	vmm_command_line_release(&line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_many_parts),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests_name("vmm_command_line", tests, NULL, NULL);
}
