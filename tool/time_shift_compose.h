/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Two TIME_SHIFTs after each other as one: a guest's into the time of its host, and the one with which readers correct that
 * host's times, because it is a guest itself.
 */
#ifndef TSC_OFFSET_TIME_SHIFT_COMPOSE_H
#define TSC_OFFSET_TIME_SHIFT_COMPOSE_H

struct host_times;
struct time_shift;

int time_shift_compose(struct time_shift *shift, const struct host_times *host);

#endif /* TSC_OFFSET_TIME_SHIFT_COMPOSE_H */
