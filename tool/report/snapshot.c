// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "cleanup.h"
#include "error.h"
#include "findings_json.h"
#include "history.h"
#include "host.h"
#include "host_vms.h"
#include "json_writer.h"
#include "order.h"
#include "sanitize.h"
#include "show_report.h"
#include "snapshot.h"
#include "tsc_clock.h"
#include "vm_boots.h"

/*
 * A change takes some 160 bytes. An object takes several hundred bytes of memory, however short its text is, so the
 * number of objects has a limit too.
 */
#define MAX_READ	(16UL << 20)
#define MIN_READ	4096
#define MAX_CONTAINERS	(1UL << 17)
/* The deepest are the ranges of changes of vCPUs of VMs */
#define MAX_DEPTH	16

static void putp(struct json_object **object)
{
	json_object_put(*object);
}

static void add_scaling(struct json_writer *json, const struct tsc_mapping *map)
{
	json_add_uint(json, "ratio", map->ratio);
	json_add_uint(json, "frac_bits", map->frac_bits);
}

static void add_range(struct json_writer *json, const char *key, uint64_t from, uint64_t to)
{
	json_begin(json, key, JSON_OBJECT);
	json_add_uint(json, "from", from);
	json_add_uint(json, "to", to);
	json_end(json);
}

static void add_change(struct json_writer *json, const struct vcpu_history *vcpu, size_t i)
{
	const struct tsc_segment *segment = &vcpu->segments[i];
	uint64_t from, to;

	json_begin(json, NULL, JSON_OBJECT);
	json_add_uint(json, "host_tsc", segment->host_tsc);
	json_add_int(json, "previous", segment->previous.offset);
	json_add_int(json, "next", segment->map.offset);
	json_add_int(json, "delta", show_report_delta(segment));
	add_scaling(json, &segment->map);
	json_add_bool(json, "lost_before", vcpu_history_gap(vcpu, i));
	if (vcpu_history_backward(vcpu, i, &from, &to))
		add_range(json, "backward", from, to);
	else
		json_add_null(json, "backward");
	json_end(json);
}

static void add_changes(struct json_writer *json, const struct vcpu_history *vcpu)
{
	json_begin(json, "changes", JSON_DENSE_ARRAY);
	for (size_t i = 0; i < vcpu->nr_segments; i++)
		add_change(json, vcpu, i);
	json_end(json);
}

static void add_initial(struct json_writer *json, const struct vcpu_history *vcpu)
{
	struct tsc_mapping map;

	/* The previous value at the creation of a vCPU never applied */
	if (vcpu_history_begins_with_creation(vcpu) || !vcpu_history_before(vcpu, 0, &map)) {
		json_add_null(json, "initial");
		return;
	}
	json_begin(json, "initial", JSON_OBJECT);
	json_add_int(json, "offset", map.offset);
	add_scaling(json, &map);
	json_end(json);
}

static void add_bound(struct json_writer *json, const struct estimate_bound *bound)
{
	if (!bound->estimated) {
		json_add_null(json, "estimate");
		return;
	}
	json_begin(json, "estimate", JSON_OBJECT);
	json_add_uint(json, "max_error", bound->max_error);
	json_add_uint(json, "violations", bound->violations);
	json_end(json);
}

static void add_current(struct json_writer *json, const struct vcpu_now *now)
{
	if (!now->known) {
		json_add_null(json, "current");
		return;
	}
	json_begin(json, "current", JSON_OBJECT);
	json_add_uint(json, "host_tsc", now->host_tsc);
	json_add_int(json, "offset", now->map.offset);
	add_scaling(json, &now->map);
	add_bound(json, &now->bound);
	json_end(json);
}

static void add_vcpu(struct json_writer *json, const struct host_vm *vm, size_t i)
{
	const struct vcpu_history *vcpu = &vm->history.vcpus[i];
	struct vcpu_now now = show_report_current(vm, i);
	int thread = host_vm_thread(vm, vcpu->vcpu_id);

	json_begin(json, NULL, JSON_OBJECT);
	json_add_uint(json, "vcpu_id", vcpu->vcpu_id);
	json_add_known(json, "thread", thread, (uint64_t)thread);
	if (vcpu->tsc_protected || vcpu->protection_known)
		json_add_bool(json, "tsc_protected", vcpu->tsc_protected);
	else
		json_add_null(json, "tsc_protected");
	add_initial(json, vcpu);
	add_current(json, &now);
	add_changes(json, vcpu);
	json_end(json);
}

/* As in messages. @name: NULL for null */
static void add_name(struct json_writer *json, const char *key, const char *name)
{
	_cleanup_(freep) char *shown = name ? sanitized(name) : NULL;

	json_fail(json, name && !shown ? -ENOMEM : 0);
	json_add_text(json, key, shown);
}

static void add_boots(struct json_writer *json, const struct host_vm *vm)
{
	struct vm_boots boots;

	json_begin(json, "boots", JSON_ARRAY);
	json_fail(json, vm_boots_find(&boots, &vm->history));
	for (size_t i = 0; i < boots.nr; i++) {
		json_begin(json, NULL, JSON_OBJECT);
		json_add_uint(json, "host_tsc", boots.boots[i].host_tsc);
		json_add_text(json, "kind", vm_boot_word(boots.boots[i].kind));
		json_end(json);
	}
	json_end(json);
	vm_boots_release(&boots);
}

static void add_vm(struct json_writer *json, const struct host_vm *vm)
{
	json_begin(json, NULL, JSON_OBJECT);
	json_add_int(json, "id", vm->id);
	json_add_text(json, "name", vm->name);
	json_add_known(json, "kvm_id", vm->vm_id, vm->vm_id);
	json_add_text(json, "evidence", show_report_evidence(vm));
	add_name(json, "guest", vm->guest_name && *vm->guest_name ? vm->guest_name : NULL);
	json_add_known(json, "guest_trace_id", vm->guest_trace_id, vm->guest_trace_id);
	add_boots(json, vm);
	json_begin(json, "threads", JSON_ARRAY);
	for (size_t i = 0; i < vm->nr_threads; i++) {
		json_begin(json, NULL, JSON_OBJECT);
		json_add_int(json, "tid", vm->threads[i].tid);
		json_add_uint(json, "vcpu_id", vm->threads[i].vcpu_id);
		json_end(json);
	}
	json_end(json);
	json_begin(json, "vcpus", JSON_ARRAY);
	for (size_t i = 0; i < vm->history.nr_vcpus; i++)
		add_vcpu(json, vm, i);
	json_end(json);
	json_end(json);
}

/**
 * snapshot_write - write a report as one JSON object
 * @report: the report
 * @file: the output
 *
 * Returns: the result of json_finish().
 */
int snapshot_write(const struct show_report *report, FILE *file)
{
	struct json_writer json = { 0 };
	uint64_t hz = tsc_frequency_hz(&report->frequency);
	const struct host_vm *vm = NULL;

	json_begin_document(&json);
	add_name(&json, "source", report->source);
	json_add_text(&json, "clock", TSC_CLOCK);
	json_add_known(&json, "tsc_hz", hz, hz);
	json_add_bool(&json, "complete", report->complete);
	json_begin(&json, "lost", JSON_ARRAY);
	for (size_t i = 0; i < report->host->nr_lost; i++)
		add_range(&json, NULL, report->host->lost[i].from, report->host->lost[i].to);
	json_end(&json);
	findings_json(&json, report->findings);
	json_begin(&json, "vms", JSON_ARRAY);
	while ((vm = show_report_next_vm(report, vm)))
		add_vm(&json, vm);
	json_end(&json);
	json_end(&json);
	return json_finish(&json, file);
}

static __attribute__((format(printf, 3, 4)))
int fail(struct snapshot *snapshot, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	error_set_v(snapshot->error, error, snapshot->path, format, args);
	va_end(args);
	return error;
}

static int missing(struct snapshot *snapshot, const char *key, const char *what)
{
	return fail(snapshot, -EBADMSG, "\"%s\" is missing or not %s", key, what);
}

/* Returns: 0 or -EBADMSG if it is missing or of another type; null is of json_type_null */
static int get(struct snapshot *snapshot, struct json_object *object, const char *key,
	       enum json_type type, struct json_object **value)
{
	if (json_object_object_get_ex(object, key, value) && json_object_is_type(*value, type))
		return 0;
	return missing(snapshot, key, json_type_to_name(type));
}

static bool is_null(struct json_object *object, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(object, key, &value) && !value;
}

static int get_signed(struct snapshot *snapshot, struct json_object *object, const char *key,
		      int64_t *number)
{
	struct json_object *value;
	int ret = get(snapshot, object, key, json_type_int, &value);

	if (ret)
		return ret;
	/* Greater values are clipped */
	*number = json_object_get_int64(value);
	if (*number == INT64_MAX && json_object_get_uint64(value) > INT64_MAX)
		return missing(snapshot, key, "a signed number of 64 bits");
	return 0;
}

static int get_unsigned(struct snapshot *snapshot, struct json_object *object, const char *key,
			uint64_t max, uint64_t *number)
{
	struct json_object *value;
	int ret = get(snapshot, object, key, json_type_int, &value);

	if (ret)
		return ret;
	*number = json_object_get_uint64(value);
	if (json_object_get_int64(value) < 0 || *number > max)
		return missing(snapshot, key, "an unsigned number that it can be");
	return 0;
}

static int read_mapping(struct snapshot *snapshot, struct json_object *object, const char *offset,
			struct tsc_mapping *map)
{
	uint64_t frac_bits;
	int ret;

	ret = get_signed(snapshot, object, offset, &map->offset);
	if (!ret)
		ret = get_unsigned(snapshot, object, "ratio", UINT64_MAX, &map->ratio);
	if (!ret)
		ret = get_unsigned(snapshot, object, "frac_bits", TSC_MAX_FRAC_BITS, &frac_bits);
	if (!ret)
		map->frac_bits = frac_bits;
	return ret;
}

/* Missing in the output of earlier versions */
static int read_bound(struct snapshot *snapshot, struct json_object *object,
		      struct estimate_bound *bound)
{
	struct json_object *estimate;
	int ret;

	if (!json_object_object_get_ex(object, "estimate", &estimate) || !estimate)
		return 0;
	ret = get(snapshot, object, "estimate", json_type_object, &estimate);
	if (!ret)
		ret = get_unsigned(snapshot, estimate, "max_error", UINT64_MAX, &bound->max_error);
	if (!ret)
		ret = get_unsigned(snapshot, estimate, "violations", UINT64_MAX, &bound->violations);
	bound->estimated = !ret;
	return ret;
}

static int read_change(struct snapshot *snapshot, struct json_object *object, struct snapshot_change *change)
{
	struct json_object *lost;
	int ret;

	ret = get_unsigned(snapshot, object, "host_tsc", UINT64_MAX, &change->host_tsc);
	if (!ret)
		ret = read_mapping(snapshot, object, "next", &change->map);
	if (!ret)
		ret = get_signed(snapshot, object, "previous", &change->previous);
	if (!ret)
		ret = get(snapshot, object, "lost_before", json_type_boolean, &lost);
	if (!ret)
		change->lost_before = json_object_get_boolean(lost);
	return ret;
}

/* Callers that need only the final values accept a snapshot without the history */
static int read_history(struct snapshot *snapshot, struct json_object *object, struct snapshot_vcpu *vcpu)
{
	struct json_object *member;
	size_t nr;
	int ret = 0;

	if (json_object_object_get_ex(object, "tsc_protected", &member))
		vcpu->tsc_protected = json_object_get_boolean(member);
	if (json_object_object_get_ex(object, "initial", &member) && member) {
		ret = get(snapshot, object, "initial", json_type_object, &member);
		if (!ret)
			ret = read_mapping(snapshot, member, "offset", &vcpu->initial);
		vcpu->initial_known = !ret;
	}
	if (ret || !json_object_object_get_ex(object, "changes", &member))
		return ret;
	ret = get(snapshot, object, "changes", json_type_array, &member);
	if (ret)
		return ret;
	nr = json_object_array_length(member);
	vcpu->changes = calloc(nr + 1, sizeof(*vcpu->changes));
	if (!vcpu->changes)
		return fail(snapshot, -ENOMEM, "no memory");
	for (; vcpu->nr_changes < nr && !ret; vcpu->nr_changes++)
		ret = read_change(snapshot, json_object_array_get_idx(member, vcpu->nr_changes),
				  &vcpu->changes[vcpu->nr_changes]);
	return ret;
}

static int read_vcpu(struct snapshot *snapshot, struct json_object *object,
		     struct snapshot_vcpu *vcpu)
{
	struct json_object *current;
	uint64_t vcpu_id;
	int ret = get_unsigned(snapshot, object, "vcpu_id", UINT32_MAX, &vcpu_id);

	if (!ret)
		ret = read_history(snapshot, object, vcpu);
	if (ret)
		return ret;
	vcpu->vcpu_id = vcpu_id;
	if (is_null(object, "current"))
		return 0;
	ret = get(snapshot, object, "current", json_type_object, &current);
	if (!ret)
		ret = get_unsigned(snapshot, current, "host_tsc", UINT64_MAX, &vcpu->host_tsc);
	if (!ret)
		ret = read_mapping(snapshot, current, "offset", &vcpu->map);
	if (!ret)
		ret = read_bound(snapshot, current, &vcpu->bound);
	vcpu->known = !ret;
	return ret;
}

static ORDER_BY(compare_vcpus, struct snapshot_vcpu, vcpu_id)

static int read_vcpus(struct snapshot *snapshot, struct json_object *array, struct snapshot_vm *vm)
{
	size_t nr = json_object_array_length(array);

	vm->vcpus = calloc(nr + 1, sizeof(*vm->vcpus));
	if (!vm->vcpus)
		return fail(snapshot, -ENOMEM, "no memory");
	while (vm->nr_vcpus < nr) {
		struct json_object *vcpu = json_object_array_get_idx(array, vm->nr_vcpus);
		int ret = read_vcpu(snapshot, vcpu, &vm->vcpus[vm->nr_vcpus++]);

		if (ret)
			return ret;
	}
	array_sort(vm->vcpus, nr, compare_vcpus);
	for (size_t i = 1; i < nr; i++) {
		if (vm->vcpus[i].vcpu_id == vm->vcpus[i - 1].vcpu_id)
			return fail(snapshot, -EBADMSG, "VM %d has vCPU %u twice", vm->id,
				    vm->vcpus[i].vcpu_id);
	}
	return 0;
}

static int read_threads(struct snapshot *snapshot, struct json_object *array,
			struct snapshot_vm *vm)
{
	size_t nr = json_object_array_length(array);

	vm->threads = calloc(nr + 1, sizeof(*vm->threads));
	if (!vm->threads)
		return fail(snapshot, -ENOMEM, "no memory");
	for (; vm->nr_threads < nr; vm->nr_threads++) {
		struct json_object *thread = json_object_array_get_idx(array, vm->nr_threads);
		uint64_t tid, vcpu_id;
		int ret = get_unsigned(snapshot, thread, "tid", INT_MAX, &tid);

		if (!ret)
			ret = get_unsigned(snapshot, thread, "vcpu_id", UINT32_MAX, &vcpu_id);
		if (ret)
			return ret;
		vm->threads[vm->nr_threads] = (struct snapshot_thread) { tid, vcpu_id };
	}
	return 0;
}

/* Missing in the output of earlier versions */
static int read_name(struct snapshot *snapshot, struct json_object *object, struct snapshot_vm *vm)
{
	struct json_object *name;
	int ret;

	if (!json_object_object_get_ex(object, "name", &name))
		return 0;
	ret = get(snapshot, object, "name", json_type_string, &name);
	if (ret || json_object_get_string_len(name) >= HOST_VM_NAME_SIZE)
		return ret ? ret : missing(snapshot, "name", "that of a VM");
	strcpy(vm->name, json_object_get_string(name));
	return 0;
}

/* Not in what earlier versions wrote */
static int read_kvm_id(struct snapshot *snapshot, struct json_object *object, struct snapshot_vm *vm)
{
	struct json_object *id;

	return json_object_object_get_ex(object, "kvm_id", &id) && id ?
		get_unsigned(snapshot, object, "kvm_id", UINT64_MAX, &vm->kvm_id) : 0;
}

static int read_vm(struct snapshot *snapshot, struct json_object *object, struct snapshot_vm *vm)
{
	struct json_object *threads, *vcpus;
	uint64_t id;
	int ret;

	ret = get_unsigned(snapshot, object, "id", INT_MAX, &id);
	if (!ret)
		ret = read_name(snapshot, object, vm);
	if (!ret)
		ret = read_kvm_id(snapshot, object, vm);
	if (!ret && !is_null(object, "guest_trace_id"))
		ret = get_unsigned(snapshot, object, "guest_trace_id", UINT64_MAX,
				   &vm->guest_trace_id);
	if (!ret)
		ret = get(snapshot, object, "threads", json_type_array, &threads);
	if (!ret)
		ret = get(snapshot, object, "vcpus", json_type_array, &vcpus);
	if (ret)
		return ret;
	vm->id = id;
	ret = read_threads(snapshot, threads, vm);
	return ret ? ret : read_vcpus(snapshot, vcpus, vm);
}

static int read_vms(struct snapshot *snapshot, struct json_object *array)
{
	size_t nr = json_object_array_length(array);

	snapshot->vms = calloc(nr + 1, sizeof(*snapshot->vms));
	if (!snapshot->vms)
		return fail(snapshot, -ENOMEM, "no memory");
	while (snapshot->nr_vms < nr) {
		struct json_object *vm = json_object_array_get_idx(array, snapshot->nr_vms);
		int ret = read_vm(snapshot, vm, &snapshot->vms[snapshot->nr_vms++]);

		if (ret)
			return ret;
	}
	return 0;
}

static int read_root(struct snapshot *snapshot, struct json_object *root)
{
	struct json_object *clock, *complete, *vms;
	uint64_t schema = JSON_SCHEMA;
	int ret = 0;

	/* Not in what earlier versions wrote */
	if (json_object_object_get_ex(root, "schema", NULL))
		ret = get_unsigned(snapshot, root, "schema", UINT64_MAX, &schema);
	if (!ret && schema > JSON_SCHEMA)
		ret = fail(snapshot, -EBADMSG, "a newer tsc-offset wrote it, with schema %" PRIu64 "; this one reads %d",
			   schema, JSON_SCHEMA);
	if (!ret)
		ret = get(snapshot, root, "clock", json_type_string, &clock);
	if (!ret && strcmp(json_object_get_string(clock), TSC_CLOCK))
		ret = fail(snapshot, -EBADMSG, "its clock is not " TSC_CLOCK);
	if (!ret)
		ret = get(snapshot, root, "complete", json_type_boolean, &complete);
	if (!ret)
		ret = get(snapshot, root, "vms", json_type_array, &vms);
	if (ret)
		return ret;
	snapshot->complete = json_object_get_boolean(complete);
	return read_vms(snapshot, vms);
}

/*
 * A file, or a pipe from the shell's <(command). Without O_NONBLOCK, open() of a FIFO without a writer could block
 * forever; with it, reading finds the end at once.
 */
static FILE *open_input(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat stat;
	FILE *file;

	if (fd < 0)
		return NULL;
	errno = EINVAL;
	if (!fstat(fd, &stat) && (S_ISREG(stat.st_mode) || S_ISFIFO(stat.st_mode)) &&
	    !fcntl(fd, F_SETFL, O_RDONLY) && (file = fdopen(fd, "r")))
		return file;
	close(fd);
	return NULL;
}

/* Reads to the end, but little more than the limit: the buffer grows as needed. Returns: false without memory. */
static bool read_stream(FILE *file, char **text, size_t *size)
{
	size_t room = 0;

	do {
		char *grown;

		room = room ? 2 * room : MIN_READ;
		grown = realloc(*text, room);
		if (!grown)
			return false;
		*text = grown;
		*size += fread(*text + *size, 1, room - 1 - *size, file);
		(*text)[*size] = '\0';
	} while (*size == room - 1 && *size <= MAX_READ);
	return true;
}

static int read_text(struct snapshot *snapshot, const char *path, char **text, size_t *size)
{
	_cleanup_(fclosep) FILE *file = open_input(path);
	int error = errno;

	if (!file)
		return fail(snapshot, -error, "%s", error == EINVAL ? "this is neither a file nor a pipe" :
								      strerror(error));
	if (!read_stream(file, text, size))
		return fail(snapshot, -ENOMEM, "no memory");
	if (ferror(file))
		return fail(snapshot, -EIO, "it cannot be read");
	if (!*size)
		return fail(snapshot, -EBADMSG, "it is empty");
	/* Probably a recording; json-c would take a NUL for the end */
	if (strlen(*text) < *size)
		return fail(snapshot, -EBADMSG, "not JSON; use the output of 'tsc-offset show --json'");
	if (*size > MAX_READ)
		return fail(snapshot, -EFBIG, "it is too long; tsc-offset show --vm writes less");
	return 0;
}

/* Does a number fit into 64 bits? json-c silently clips a larger one to the maximum. */
static bool number_fits(const char *number)
{
	errno = 0;
	if (*number == '-')
		strtoll(number, NULL, 10);
	else
		strtoull(number, NULL, 10);
	return !errno;
}

/* Checks that json-c omits */
static int check_text(struct snapshot *snapshot, const char *text)
{
	size_t containers = 0;
	bool quoted = false;

	for (const char *at = text; *at; at++) {
		if (*at == '"')
			quoted = !quoted;
		if (quoted) {
			/* An escaped character never ends the string */
			at += *at == '\\' && at[1];
			continue;
		}
		containers += *at == '{' || *at == '[';
		if (*at != '-' && (*at < '0' || *at > '9'))
			continue;
		if (!number_fits(at))
			return fail(snapshot, -EBADMSG, "a number at offset %zu has more than 64 bits",
				    at - text);
		at += strspn(at + 1, "0123456789");
	}
	if (containers > MAX_CONTAINERS)
		return fail(snapshot, -EFBIG, "it has too many parts; tsc-offset show --vm writes less");
	return 0;
}

static int parse(struct snapshot *snapshot, const char *text, size_t size,
		 struct json_object **root)
{
	struct json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
	enum json_tokener_error error;
	int ret = 0;

	if (!tokener)
		return fail(snapshot, -ENOMEM, "no memory");
	/* Strict: nothing may follow */
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	*root = json_tokener_parse_ex(tokener, text, (int)size);
	error = json_tokener_get_error(tokener);
	if (error == json_tokener_continue)
		ret = fail(snapshot, -EBADMSG, "the JSON ends too early");
	else if (error != json_tokener_success)
		ret = fail(snapshot, -EBADMSG, "no JSON at offset %zu: %s",
			   json_tokener_get_parse_end(tokener), json_tokener_error_desc(error));
	json_tokener_free(tokener);
	return ret;
}

/**
 * snapshot_read - read the output of tsc-offset show --json
 * @snapshot: result; must be released in any case
 * @path: the file
 * @error: reason of a failure
 *
 * Files are not trusted: size and depth are bounded, and each number must be in the range of its member.
 *
 * Returns: 0 or a negative errno, with the reason in @error.
 */
int snapshot_read(struct snapshot *snapshot, const char *path, struct error *error)
{
	_cleanup_(putp) struct json_object *root = NULL;
	_cleanup_(freep) char *text = NULL;
	size_t size = 0;
	int ret;

	*snapshot = (struct snapshot) { .path = path, .error = error };
	ret = read_text(snapshot, path, &text, &size);
	if (!ret)
		ret = check_text(snapshot, text);
	if (!ret)
		ret = parse(snapshot, text, size, &root);
	return ret ? ret : read_root(snapshot, root);
}

static int add_vcpu_history(const struct snapshot_vcpu *vcpu, struct vm_history *history)
{
	struct vcpu_history *added = vm_history_vcpu(history, vcpu->vcpu_id);
	int ret = 0;

	if (!added)
		return -ENOMEM;
	added->tsc_protected = vcpu->tsc_protected;
	if (vcpu->initial_known && tsc_mapping_valid(&vcpu->initial))
		vcpu_history_set_initial(added, &vcpu->initial);
	else if (!vcpu->nr_changes && vcpu->known && tsc_mapping_valid(&vcpu->map))
		vcpu_history_set_initial(added, &vcpu->map);
	for (size_t i = 0; i < vcpu->nr_changes && !ret; i++) {
		const struct snapshot_change *change = &vcpu->changes[i];
		struct tsc_mapping previous = { .offset = change->previous };

		ret = vcpu_history_add(added, change->host_tsc, &change->map, &previous);
		if (!ret && change->lost_before)
			added->segments[vcpu_history_until(added, change->host_tsc) - 1].lost_before = true;
	}
	return ret;
}

/**
 * snapshot_history - get the history of a VM's TSCs from a snapshot
 * @vm: the VM
 * @history: result, empty at first; must be released with vm_history_release() in any case
 *
 * Returns: 0, -EINVAL if a mapping is invalid, or -ENOMEM.
 */
int snapshot_history(const struct snapshot_vm *vm, struct vm_history *history)
{
	int ret = 0;

	for (size_t i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = add_vcpu_history(&vm->vcpus[i], history);
	return ret;
}

/**
 * snapshot_release - free a snapshot
 * @snapshot: the snapshot, also after a failed read
 */
void snapshot_release(struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->nr_vms; i++) {
		for (size_t j = 0; j < snapshot->vms[i].nr_vcpus; j++)
			free(snapshot->vms[i].vcpus[j].changes);
		free(snapshot->vms[i].threads);
		free(snapshot->vms[i].vcpus);
	}
	free(snapshot->vms);
	*snapshot = (struct snapshot) { 0 };
}
