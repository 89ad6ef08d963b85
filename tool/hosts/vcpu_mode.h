/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* A vCPU's mode at a time. */
#ifndef TSC_OFFSET_VCPU_MODE_H
#define TSC_OFFSET_VCPU_MODE_H

/**
 * enum vcpu_mode - the mode of a vCPU at a time
 * @MODE_UNKNOWN: unknown: events are missing, or the time is before or after the host's recording
 * @MODE_GUEST: in guest mode
 * @MODE_HOST: out of guest mode
 */
enum vcpu_mode {
	MODE_UNKNOWN,
	MODE_GUEST,
	MODE_HOST,
};

#endif /* TSC_OFFSET_VCPU_MODE_H */
