// SPDX-License-Identifier: GPL-2.0
#include <errno.h>

#include "guest_file.h"
#include "guest_vcpus.h"
#include "host_trace.h"
#include "input_file.h"
#include "message.h"
#include "time_shift_option.h"
#include "tsc2nsec.h"

/**
 * guest_file_open - open a guest's file
 * @guest: result; to be closed in any case
 * @path: the file
 * @host: what the host's file tells
 * @wanted: which VM the user says that it is, NULL if the files are to tell
 *
 * Returns: 0, then CPU n of the guest is vCPU n of the VM; or a negative errno after a message.
 */
int guest_file_open(struct guest_file *guest, const char *path, struct host_trace *host, const char *wanted)
{
	char why[1024];
	int ret;

	*guest = (struct guest_file) { .dat.fd = -1 };
	ret = input_file_check_other(host->dat->path, path);
	if (ret)
		return ret;
	ret = trace_dat_open(&guest->dat, path);
	if (ret)
		return input_file_fail(&guest->dat, ret);
	ret = time_shift_option_read(&guest->reader, &guest->dat);
	if (ret < 0)
		return input_file_fail(&guest->dat, ret);
	guest->has_time_shift = ret;
	guest->vm = host_trace_choose(host, wanted, trace_dat_trace_id(&guest->dat), why, sizeof(why));
	if (!guest->vm) {
		message("%s: %s: %s", path, host->dat->path, why);
		return -ENOENT;
	}
	return guest_vcpus_match(guest->vm, &guest->dat);
}

/**
 * guest_file_same_nanoseconds - do readers convert a guest's times by the same numbers as its host's?
 * @guest: the guest's file
 * @host: what the host's file tells
 *
 * Returns: true if so, or if they convert neither.
 */
bool guest_file_same_nanoseconds(const struct guest_file *guest, const struct host_trace *host)
{
	struct tsc2nsec a, b;
	bool guest_has = tsc2nsec_read(&a, &guest->dat);
	bool host_has = tsc2nsec_read(&b, host->dat);

	if (!guest_has || !host_has)
		return guest_has == host_has;
	return a.mult == b.mult && a.shift == b.shift;
}

/**
 * guest_file_is_of - was a guest's file corrected for this recording of its host?
 * @guest: the guest's file
 * @host: what the host's file tells
 *
 * Returns: false if readers correct it by what holds for another recording.
 */
bool guest_file_is_of(const struct guest_file *guest, const struct host_trace *host)
{
	uint64_t host_id = trace_dat_trace_id(host->dat);

	return !guest->has_time_shift || !host_id || guest->reader.host_trace_id == host_id;
}

/**
 * guest_file_close - free what belongs to a guest's file
 * @guest: opened, or failed to, or all zero but for a file that is not open
 */
void guest_file_close(struct guest_file *guest)
{
	time_shift_reader_release(&guest->reader);
	trace_dat_close(&guest->dat);
}
