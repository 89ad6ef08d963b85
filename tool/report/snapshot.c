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
#include "host_file.h"
#include "host_vms.h"
#include "sanitize.h"
#include "show_report.h"
#include "snapshot.h"
#include "tsc_clock.h"
#include "vm_boots.h"

/* json-c counts in int, and does not say each time that it has no room left */
#define MAX_WRITTEN	(1UL << 30)

/*
 * A change takes some 160 bytes. An object takes several hundred of memory, however short it is written, so
 * that their number has a limit as well.
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

/* The caller's from now on, not the scope's */
static struct json_object *steal(struct json_object **object)
{
	struct json_object *taken = *object;

	*object = NULL;
	return taken;
}

/* json-c takes NULL for null: what could not be made has to be told from that */
static bool add(struct json_object *object, const char *key, struct json_object *value)
{
	if (!value)
		return false;
	if (!json_object_object_add(object, key, value))
		return true;
	json_object_put(value);
	return false;
}

static bool append(struct json_object *array, struct json_object *value)
{
	if (!value)
		return false;
	if (!json_object_array_add(array, value))
		return true;
	json_object_put(value);
	return false;
}

static bool add_null(struct json_object *object, const char *key)
{
	return !json_object_object_add(object, key, NULL);
}

static bool add_signed(struct json_object *object, const char *key, int64_t value)
{
	return add(object, key, json_object_new_int64(value));
}

static bool add_unsigned(struct json_object *object, const char *key, uint64_t value)
{
	return add(object, key, json_object_new_uint64(value));
}

static bool add_bool(struct json_object *object, const char *key, bool value)
{
	return add(object, key, json_object_new_boolean(value));
}

static bool add_string(struct json_object *object, const char *key, const char *value)
{
	return add(object, key, json_object_new_string(value));
}

static bool add_scaling(struct json_object *object, const struct tsc_mapping *map)
{
	return add_unsigned(object, "ratio", map->ratio) &&
	       add_unsigned(object, "frac_bits", map->frac_bits);
}

static struct json_object *range_json(uint64_t from, uint64_t to)
{
	_cleanup_(putp) struct json_object *range = json_object_new_object();

	return range && add_unsigned(range, "from", from) && add_unsigned(range, "to", to) ?
		steal(&range) : NULL;
}

static struct json_object *change_json(const struct vcpu_history *vcpu, size_t i)
{
	_cleanup_(putp) struct json_object *change = json_object_new_object();
	const struct tsc_segment *segment = &vcpu->segments[i];
	uint64_t from, to;

	if (!change || !add_unsigned(change, "host_tsc", segment->host_tsc) ||
	    !add_signed(change, "previous", segment->previous.offset) ||
	    !add_signed(change, "next", segment->map.offset) ||
	    !add_signed(change, "delta", show_report_delta(segment)) ||
	    !add_scaling(change, &segment->map) ||
	    !add_bool(change, "lost_before", vcpu_history_gap(vcpu, i)))
		return NULL;
	if (vcpu_history_backward(vcpu, i, &from, &to) ?
	    !add(change, "backward", range_json(from, to)) : !add_null(change, "backward"))
		return NULL;
	return steal(&change);
}

/* There may be millions: each of them is an object of json-c only while it is written */
static int write_changes(struct json_object *object, struct printbuf *out, int level, int flags)
{
	const struct vcpu_history *vcpu = json_object_get_userdata(object);

	if (printbuf_strappend(out, "[") < 0)
		return -1;
	for (size_t i = 0; i < vcpu->nr_segments; i++) {
		_cleanup_(putp) struct json_object *change = change_json(vcpu, i);
		const char *text;
		size_t length;

		text = change ? json_object_to_json_string_length(change, flags, &length) : NULL;
		if (!text || (i && printbuf_strappend(out, ", ") < 0) ||
		    printbuf_memappend(out, text, (int)length) < 0)
			return -1;
	}
	return printbuf_strappend(out, "]");
}

static struct json_object *changes_json(const struct vcpu_history *vcpu)
{
	struct json_object *changes = json_object_new_array();

	if (changes)
		json_object_set_serializer(changes, write_changes, (void *)vcpu, NULL);
	return changes;
}

static bool add_initial(struct json_object *object, const struct vcpu_history *vcpu)
{
	_cleanup_(putp) struct json_object *initial = NULL;
	struct tsc_mapping map;

	/* What KVM finds when it makes a vCPU never held */
	if (vcpu_history_begins_with_creation(vcpu) || !vcpu_history_before(vcpu, 0, &map))
		return add_null(object, "initial");
	initial = json_object_new_object();
	return initial && add_signed(initial, "offset", map.offset) && add_scaling(initial, &map) &&
	       add(object, "initial", steal(&initial));
}

static bool add_bound(struct json_object *object, const struct estimate_bound *bound)
{
	_cleanup_(putp) struct json_object *estimate = NULL;

	if (!bound->estimated)
		return add_null(object, "estimate");
	estimate = json_object_new_object();
	return estimate && add_unsigned(estimate, "max_error", bound->max_error) &&
	       add_unsigned(estimate, "violations", bound->violations) &&
	       add(object, "estimate", steal(&estimate));
}

static bool add_current(struct json_object *object, const struct vcpu_now *now)
{
	_cleanup_(putp) struct json_object *current = NULL;

	if (!now->known)
		return add_null(object, "current");
	current = json_object_new_object();
	return current && add_unsigned(current, "host_tsc", now->host_tsc) &&
	       add_signed(current, "offset", now->map.offset) && add_scaling(current, &now->map) &&
	       add_bound(current, &now->bound) && add(object, "current", steal(&current));
}

static struct json_object *vcpu_json(const struct host_vm *vm, size_t i)
{
	_cleanup_(putp) struct json_object *object = json_object_new_object();
	const struct vcpu_history *vcpu = &vm->history.vcpus[i];
	struct vcpu_now now = show_report_current(vm, i);
	int thread = host_vm_thread(vm, vcpu->vcpu_id);

	if (!object || !add_unsigned(object, "vcpu_id", vcpu->vcpu_id) ||
	    !(thread ? add_signed(object, "thread", thread) : add_null(object, "thread")) ||
	    !add_bool(object, "tsc_protected", vcpu->tsc_protected) ||
	    !add_initial(object, vcpu) || !add_current(object, &now) ||
	    !add(object, "changes", changes_json(vcpu)))
		return NULL;
	return steal(&object);
}

static struct json_object *threads_json(const struct host_vm *vm)
{
	_cleanup_(putp) struct json_object *threads = json_object_new_array();

	for (size_t i = 0; threads && i < vm->nr_threads; i++) {
		_cleanup_(putp) struct json_object *thread = json_object_new_object();

		if (!thread || !add_signed(thread, "tid", vm->threads[i].tid) ||
		    !add_unsigned(thread, "vcpu_id", vm->threads[i].vcpu_id) ||
		    !append(threads, steal(&thread)))
			return NULL;
	}
	return steal(&threads);
}

static struct json_object *vcpus_json(const struct host_vm *vm)
{
	_cleanup_(putp) struct json_object *vcpus = json_object_new_array();

	for (size_t i = 0; vcpus && i < vm->history.nr_vcpus; i++) {
		if (!append(vcpus, vcpu_json(vm, i)))
			return NULL;
	}
	return steal(&vcpus);
}

static bool add_guest(struct json_object *object, const struct host_vm *vm)
{
	_cleanup_(freep) char *name = NULL;

	if (!vm->guest_name || !*vm->guest_name)
		return add_null(object, "guest");
	name = sanitized(vm->guest_name);
	return name && add_string(object, "guest", name);
}

static struct json_object *boots_json(const struct host_vm *vm)
{
	_cleanup_(putp) struct json_object *array = json_object_new_array();
	struct vm_boots boots;
	bool ok = !vm_boots_find(&boots, &vm->history) && array;

	for (size_t i = 0; i < boots.nr && ok; i++) {
		_cleanup_(putp) struct json_object *boot = json_object_new_object();

		ok = boot && add_unsigned(boot, "host_tsc", boots.boots[i].host_tsc) &&
		     add_string(boot, "kind", vm_boot_word(boots.boots[i].kind)) && append(array, steal(&boot));
	}
	vm_boots_release(&boots);
	return ok ? steal(&array) : NULL;
}

static struct json_object *vm_json(const struct host_vm *vm)
{
	_cleanup_(putp) struct json_object *object = json_object_new_object();

	if (!object || !add_signed(object, "id", vm->id) || !add_string(object, "name", vm->name) ||
	    !add_string(object, "evidence", show_report_evidence(vm)) || !add_guest(object, vm) ||
	    !(vm->guest_trace_id ? add_unsigned(object, "guest_trace_id", vm->guest_trace_id) :
				   add_null(object, "guest_trace_id")) ||
	    !add(object, "boots", boots_json(vm)) || !add(object, "threads", threads_json(vm)) ||
	    !add(object, "vcpus", vcpus_json(vm)))
		return NULL;
	return steal(&object);
}

static struct json_object *lost_json(const struct host *host)
{
	_cleanup_(putp) struct json_object *lost = json_object_new_array();

	for (size_t i = 0; lost && i < host->nr_lost; i++) {
		if (!append(lost, range_json(host->lost[i].from, host->lost[i].to)))
			return NULL;
	}
	return steal(&lost);
}

/* Its VMs are to be added, at the end */
static struct json_object *report_json(const struct show_report *report)
{
	_cleanup_(putp) struct json_object *object = json_object_new_object();
	_cleanup_(freep) char *source = sanitized(report->source);
	uint64_t hz = tsc_frequency_hz(&report->frequency);

	if (!object || !source || !add_string(object, "source", source) ||
	    !add_string(object, "clock", TSC_CLOCK) ||
	    !(hz ? add_unsigned(object, "tsc_hz", hz) : add_null(object, "tsc_hz")) ||
	    !add_bool(object, "complete", report->complete) ||
	    !add(object, "lost", lost_json(report->host)) ||
	    !add(object, "findings", findings_json(report->findings)) || !add(object, "vms", json_object_new_array()))
		return NULL;
	return steal(&object);
}

/* @length: result. Returns: the text, which is the object's, or NULL without memory. */
static const char *text_of(struct json_object *object, size_t *length)
{
	return object ? json_object_to_json_string_length(object, JSON_C_TO_STRING_SPACED |
							  JSON_C_TO_STRING_NOSLASHESCAPE, length) : NULL;
}

/* One after the other, as all of them together take much memory. @file: NULL to find out how long they are. */
static int write_vms(const struct show_report *report, size_t *length, FILE *file)
{
	const struct host_vm *vm = NULL;

	while ((vm = show_report_next_vm(report, vm))) {
		_cleanup_(putp) struct json_object *object = vm_json(vm);
		size_t size;
		const char *text = text_of(object, &size);

		if (!text)
			return -ENOMEM;
		if (file)
			fprintf(file, "%s%s", *length ? ", " : " ", text);
		*length += size;
		if (*length > MAX_WRITTEN)
			return -E2BIG;
	}
	return 0;
}

/**
 * snapshot_write - write a report as one object of JSON
 * @report: the report
 * @file: where to
 *
 * Returns: 0, -ENOMEM, or -E2BIG if the text would be longer than 1 GiB; then nothing was written, but without
 * memory VMs may be. What could not be written to @file is not told.
 */
int snapshot_write(const struct show_report *report, FILE *file)
{
	_cleanup_(putp) struct json_object *object = report_json(report);
	size_t length, vms = 0, written = 0;
	const char *text = text_of(object, &length);
	int ret;

	if (!text)
		return -ENOMEM;
	ret = write_vms(report, &vms, NULL);
	if (!ret && length > MAX_WRITTEN - vms)
		ret = -E2BIG;
	if (ret)
		return ret;
	/* The VMs' array is empty, and the last there is */
	if (vms)
		length = (size_t)(strrchr(text, '[') + 1 - text);
	fwrite(text, 1, length, file);
	ret = write_vms(report, &written, file);
	fprintf(file, "%s", vms ? " ] }\n" : "\n");
	return ret;
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

/* Returns: 0 or -EBADMSG if it is not there or of another type; null is of json_type_null */
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
	/* What is greater is clipped */
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

static int read_mapping(struct snapshot *snapshot, struct json_object *object,
			struct tsc_mapping *map)
{
	uint64_t frac_bits;
	int ret;

	ret = get_signed(snapshot, object, "offset", &map->offset);
	if (!ret)
		ret = get_unsigned(snapshot, object, "ratio", UINT64_MAX, &map->ratio);
	if (!ret)
		ret = get_unsigned(snapshot, object, "frac_bits", TSC_MAX_FRAC_BITS, &frac_bits);
	if (!ret)
		map->frac_bits = frac_bits;
	return ret;
}

/* Not in what earlier versions wrote */
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

static int read_vcpu(struct snapshot *snapshot, struct json_object *object,
		     struct snapshot_vcpu *vcpu)
{
	struct json_object *current;
	uint64_t vcpu_id;
	int ret = get_unsigned(snapshot, object, "vcpu_id", UINT32_MAX, &vcpu_id);

	if (ret)
		return ret;
	vcpu->vcpu_id = vcpu_id;
	if (is_null(object, "current"))
		return 0;
	ret = get(snapshot, object, "current", json_type_object, &current);
	if (!ret)
		ret = get_unsigned(snapshot, current, "host_tsc", UINT64_MAX, &vcpu->host_tsc);
	if (!ret)
		ret = read_mapping(snapshot, current, &vcpu->map);
	if (!ret)
		ret = read_bound(snapshot, current, &vcpu->bound);
	vcpu->known = !ret;
	return ret;
}

static int compare_vcpus(const void *a, const void *b)
{
	const struct snapshot_vcpu *x = a, *y = b;

	return (x->vcpu_id > y->vcpu_id) - (x->vcpu_id < y->vcpu_id);
}

static int read_vcpus(struct snapshot *snapshot, struct json_object *array, struct snapshot_vm *vm)
{
	size_t nr = json_object_array_length(array);

	vm->vcpus = calloc(nr + 1, sizeof(*vm->vcpus));
	if (!vm->vcpus)
		return fail(snapshot, -ENOMEM, "no memory");
	for (; vm->nr_vcpus < nr; vm->nr_vcpus++) {
		int ret = read_vcpu(snapshot, json_object_array_get_idx(array, vm->nr_vcpus),
				    &vm->vcpus[vm->nr_vcpus]);

		if (ret)
			return ret;
	}
	qsort(vm->vcpus, nr, sizeof(*vm->vcpus), compare_vcpus);
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

/* Not in what earlier versions wrote */
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

static int read_vm(struct snapshot *snapshot, struct json_object *object, struct snapshot_vm *vm)
{
	struct json_object *threads, *vcpus;
	uint64_t id;
	int ret;

	ret = get_unsigned(snapshot, object, "id", INT_MAX, &id);
	if (!ret)
		ret = read_name(snapshot, object, vm);
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
	int ret;

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
 * A file, or a pipe as the shell makes of <(command). Without O_NONBLOCK, open() of a FIFO without a writer might wait
 * for ever; with it, reading finds the end at once.
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

/* Up to its end, but not much more than may be: the room grows with it. Returns: false without memory. */
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
	/* A recording, as a rule; json-c would take a zero for the end */
	if (strlen(*text) < *size)
		return fail(snapshot, -EBADMSG, "not JSON; use the output of 'tsc-offset show --json'");
	if (*size > MAX_READ)
		return fail(snapshot, -EFBIG, "it is too long; tsc-offset show --vm writes less");
	return 0;
}

/* Does a number fit 64 bits? One that does not json-c makes the greatest that does, without a word. */
static bool number_fits(const char *number)
{
	errno = 0;
	if (*number == '-')
		strtoll(number, NULL, 10);
	else
		strtoull(number, NULL, 10);
	return !errno;
}

/* What json-c does not look after itself */
static int check_text(struct snapshot *snapshot, const char *text)
{
	size_t containers = 0;
	bool quoted = false;

	for (const char *at = text; *at; at++) {
		if (*at == '"')
			quoted = !quoted;
		if (quoted) {
			/* Whatever is escaped, it does not end the string */
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
 * snapshot_read - read back what tsc-offset show --json wrote
 * @snapshot: result; to be released in any case
 * @path: the file
 * @error: result after an error
 *
 * Files are not trusted: size and depth are bounded, and each number is what its member can be.
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

/**
 * snapshot_release - free what was read
 * @snapshot: read, or failed to
 */
void snapshot_release(struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->nr_vms; i++) {
		free(snapshot->vms[i].threads);
		free(snapshot->vms[i].vcpus);
	}
	free(snapshot->vms);
	*snapshot = (struct snapshot) { 0 };
}
