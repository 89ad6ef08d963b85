/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Field numbers of Perfetto's messages (protos/perfetto/trace/) that several files here use. */
#ifndef TSC_OFFSET_PACKET_H
#define TSC_OFFSET_PACKET_H

/* Of TracePacket */
enum {
	PACKET_CLOCK_SNAPSHOT	= 6,
	PACKET_TIMESTAMP	= 8,
	PACKET_SEQUENCE		= 10,
	PACKET_COMPRESSED	= 50,
	PACKET_CLOCK_ID		= 58,
	PACKET_SERVICE_EVENT	= 69,
	PACKET_MACHINE_ID	= 98,
	PACKET_CLOCK_SYNC	= 107,
	PACKET_ZSTD		= 133,
};

/* Of ClockSnapshot, and of ClockSnapshot.Clock */
enum {
	SNAPSHOT_CLOCKS		= 1,
	SNAPSHOT_TRACE_CLOCK	= 2,
	CLOCK_ID		= 1,
	CLOCK_TIMESTAMP		= 2,
	CLOCK_INCREMENTAL	= 3,
	CLOCK_UNIT		= 4,
};

/* Of RemoteClockSync, and of RemoteClockSync.SyncedClocks */
enum {
	SYNC_CLOCKS		= 1,
	SYNC_CLIENT		= 2,
	SYNC_HOST		= 3,
};

/* Of TracingServiceEvent */
enum {
	SERVICE_FLUSHED		= 3,
	SERVICE_READ_BUFFERS	= 4,
};

#endif /* TSC_OFFSET_PACKET_H */
