/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TSC_OFFSET_INSTANCE_VERB_H
#define TSC_OFFSET_INSTANCE_VERB_H

#include "verb.h"

extern const struct verb instance_verb;

#endif /* TSC_OFFSET_INSTANCE_VERB_H */
