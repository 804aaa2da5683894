/*
 * option_trust.h - the readers of the options that say whom this broker trusts: moderators and where their
 * work is kept, pages, proxies, who may read the counters, the other nodes.
 *
 * Most are lists with commas between, blanks around a member allowed. All or nothing: one member that is not
 * what is expected refuses the list. `none` is the empty list where there is one.
 *
 * Each takes the trimmed value into its member of struct options, in the form that options.h says. NULL, or
 * what was expected: a static text (as struct option_reader wants it).
 */
#ifndef CHAT_OPTION_TRUST_H
#define CHAT_OPTION_TRUST_H

#include "options.h"

const char *option_read_moderators(const char *value, struct options *o);
const char *option_read_moderation_file(const char *value, struct options *o);
const char *option_read_allowed_origins(const char *value, struct options *o);
const char *option_read_trusted_proxies(const char *value, struct options *o);
const char *option_read_metrics_allow(const char *value, struct options *o);
const char *option_read_node(const char *value, struct options *o);
const char *option_read_peers(const char *value, struct options *o);

#endif
