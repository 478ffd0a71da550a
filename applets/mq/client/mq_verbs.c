#include "mq_cli.h"

#include "../server/mq_face.h"

#define SERVER_OPTIONS                                                                                                    \
	{"server", SD_OPT_STRING, NULL, "amqp://[USER[:PASSWORD]@]HOST[:PORT][/VHOST]; else SDLAB_MQ_URL, else this machine", .meta = "URL"}, \
	    {"host", SD_OPT_STRING, NULL, "where the broker is; else 127.0.0.1, or unix:PATH"},                           \
	    {"port", SD_OPT_PORT, NULL, "its port; else 5672, with TLS 5671", .letter = 'p'},                             \
	    {"vhost", SD_OPT_STRING, NULL, "the virtual host; else /"},                                                   \
	    {"user", SD_OPT_STRING, NULL, "who we are; else guest"},                                                      \
	    {"password-file", SD_OPT_FILE, NULL, "file with the password; else guest"},                                   \
	    {"tls", SD_OPT_BOOL, "false", "speak TLS"},                                                                   \
	    {"ca", SD_OPT_FILE, NULL, "TLS: PEM file with the CAs to trust; else those of the system"},                   \
	    {"cert", SD_OPT_FILE, NULL, "TLS: PEM file with a certificate of our own"},                                   \
	    {"key", SD_OPT_FILE, NULL, "TLS: its private key; else in the file of the certificate"},                      \
	    {"insecure", SD_OPT_BOOL, "false", "TLS: whoever answers is believed"},                                       \
	    {"timeout", SD_OPT_DURATION, "10s", "to connect, and for each answer"}

#define ARG_OPTION {"arg", SD_OPT_LIST, NULL, "an argument, such as x-max-length=1000", .meta = "NAME=VALUE", .whole = true}

static const struct sd_option publish_options[] = {
    {"exchange", SD_OPT_STRING, NULL, "to this exchange, and the operand is the routing key; else straight to the queue"},
    {"persistent", SD_OPT_BOOL, "true", "it is to be kept on the disk"},
    {"lines", SD_OPT_BOOL, "false", "each line of standard input is a message"},
    {"count", SD_OPT_INT, "1", "send the same so many times", .letter = 'c', .min = 1, .max = INT64_MAX},
    {"header", SD_OPT_LIST, NULL, "a header", .letter = 'H', .meta = "NAME=VALUE", .whole = true},
    {"message-id", SD_OPT_STRING, NULL, "its id; else one is made", .meta = "ID"},
    {"content-type", SD_OPT_STRING, NULL, "what the body is, such as application/json"},
    {"correlation-id", SD_OPT_STRING, NULL, "what an answer is to be recognised by", .meta = "ID"},
    {"reply-to", SD_OPT_STRING, NULL, "the queue for an answer", .meta = "QUEUE"},
    {"type", SD_OPT_STRING, NULL, "the kind of message, in words of the application"},
    {"priority", SD_OPT_INT, NULL, "larger ones go first, in queues that have priorities", .max = 255},
    {"ttl", SD_OPT_DURATION, NULL, "how long it may wait for a consumer"},
    {"delay", SD_OPT_DURATION, NULL, "it arrives only after so long (header x-delay)"},
    {"quiet", SD_OPT_BOOL, "false", "say nothing about what went well", .letter = 'q'},
    SERVER_OPTIONS,
    {0},
};

#define LOOK_OPTIONS                                                                                                  \
	{"count", SD_OPT_INT, "0", "end after so many messages; 0: go on", .letter = 'c', .max = INT64_MAX},          \
	    {"wait", SD_OPT_DURATION, NULL, "end when no message came for so long; else wait for ever"},              \
	    {"json", SD_OPT_BOOL, "false", "print each message as a line of JSON, with all that is known about it"},  \
	    {"prefetch", SD_OPT_INT, "0", "messages that may be on their way to us; 0: as many as make sense", .max = 65535}

static const struct sd_option consume_options[] = {
    {"ack-mode", SD_OPT_ENUM, "auto", "auto: acknowledge what was shown; manual: ask for each", .choices = "auto|manual"},
    {"auto-nack", SD_OPT_BOOL, "false", "reject every message"},
    {"requeue", SD_OPT_BOOL, "true", "what is rejected goes back to the queue; else it is dead"},
    {"group", SD_OPT_STRING, NULL, "as a member of this group, which shares the partitions of a stream", .meta = "NAME"},
    {"offset", SD_OPT_STRING, NULL, "of a stream: first, last, next, a number, or how long ago, as 1h; a group that was there goes on"},
    LOOK_OPTIONS,
    ARG_OPTION,
    SERVER_OPTIONS,
    {0},
};

static const struct sd_option tail_options[] = {
    LOOK_OPTIONS,
    SERVER_OPTIONS,
    {0},
};

static const struct sd_option declare_options[] = {
    {"exchange", SD_OPT_STRING, NULL, "an exchange of this type and not a queue: direct, fanout, topic, headers", .meta = "TYPE"},
    {"durable", SD_OPT_BOOL, "true", "it is still there after a restart"},
    {"auto-delete", SD_OPT_BOOL, "false", "it goes with the last who used it"},
    {"type", SD_OPT_ENUM, NULL, "of the queue; a stream keeps its messages", .choices = "classic|stream"},
    {"partitions", SD_OPT_INT, NULL, "of a stream: so many parts for groups to share", .min = 1, .max = 1024},
    {"partition-by", SD_OPT_STRING, NULL, "of a stream: the header that is the key; else the routing key is", .meta = "HEADER"},
    {"max-age", SD_OPT_STRING, NULL, "of a stream: older messages go, as 7D, 12h, 30m, 10s", .meta = "AGE"},
    {"max-bytes", SD_OPT_SIZE, NULL, "when there is more in it the oldest messages go", .max = INT64_MAX},
    ARG_OPTION,
    SERVER_OPTIONS,
    {0},
};

static const struct sd_option bind_options[] = {
    {"to-exchange", SD_OPT_BOOL, "false", "what is bound is an exchange and not a queue"},
    ARG_OPTION,
    SERVER_OPTIONS,
    {0},
};

static const struct sd_option delete_options[] = {
    {"exchange", SD_OPT_BOOL, "false", "an exchange and not a queue"},
    {"if-unused", SD_OPT_BOOL, "false", "only when nobody uses it"},
    {"if-empty", SD_OPT_BOOL, "false", "only when no message is in it"},
    SERVER_OPTIONS,
    {0},
};

static const struct sd_option server_options[] = {
    SERVER_OPTIONS,
    {0},
};

static const struct sd_option list_options[] = {
    {"http-port", SD_OPT_PORT, "15672", "where the management API is, which knows all queues"},
    SERVER_OPTIONS,
    {0},
};

static const struct sd_option groups_options[] = {
    {"json", SD_OPT_BOOL, "false", "list: print JSON"},
    {"http-port", SD_OPT_PORT, "15672", "where the management API is"},
    SERVER_OPTIONS,
    {0},
};

static const struct sd_option dlq_options[] = {
    {"count", SD_OPT_INT, "0", "so many at most; 0: all there are", .letter = 'c', .max = INT64_MAX},
    {"json", SD_OPT_BOOL, "false", "list: print each message as a line of JSON"},
    SERVER_OPTIONS,
    {0},
};

static const struct sd_option bench_options[] = {
    {"messages", SD_OPT_INT, "20000", "how many", .letter = 'n', .min = 1, .max = 1000000000},
    {"size", SD_OPT_SIZE, "100", "bytes of each", .letter = 's', .max = 128 << 20},
    {"in-flight", SD_OPT_INT, "100", "so many wait for their confirm at a time", .letter = 'k', .min = 1, .max = 1000000},
    {"persistent", SD_OPT_BOOL, "true", "they are to be kept on the disk"},
    {"consume", SD_OPT_BOOL, "false", "also take them from the queue, and say how long each was on its way"},
    {"server-pid", SD_OPT_INT, "0", "also say what processor time this process took", .meta = "PID", .max = INT32_MAX},
    {"json", SD_OPT_BOOL, "false", "print JSON"},
    SERVER_OPTIONS,
    {0},
};

static const struct sd_option work_options[] = {
    {"name", SD_OPT_STRING, "worker", "what it calls itself in what it says"},
    {"time", SD_OPT_DURATION, "100ms", "how long a message keeps it busy"},
    {"time-max", SD_OPT_DURATION, NULL, "at most: each message takes a time between the two; else all the same"},
    {"fail", SD_OPT_PERCENT, "0%", "how many of them fail"},
    {"requeue", SD_OPT_BOOL, "true", "what failed goes back to the queue; else it is dead"},
    {"count", SD_OPT_INT, "0", "end after so many messages; 0: go on", .letter = 'c', .max = INT64_MAX},
    {"wait", SD_OPT_DURATION, NULL, "end when no message came for so long; else wait for ever"},
    {"seed", SD_OPT_INT, NULL, "the same chance again", .max = INT64_MAX},
    SERVER_OPTIONS,
    {0},
};

const struct sd_verb mq_verbs[] = {
    {"bench", "[QUEUE]", "publish as fast as the broker confirms: rate, p50, p99, processor time", bench_options, 0, 1, mq_run_bench},
    {"bind", "QUEUE EXCHANGE [KEY]", "let an exchange put messages into a queue", bind_options, 2, 3, mq_run_bind},
    {"consume", "QUEUE", "take messages out of a queue", consume_options, 1, 1, mq_run_consume},
    {"declare", "NAME", "make a queue, or an exchange", declare_options, 1, 1, mq_run_declare},
    {"delete", "NAME", "delete a queue, or an exchange", delete_options, 1, 1, mq_run_delete},
    {"dlq", "list|replay QUEUE", "show the dead letters of a queue, or send them back to it", dlq_options, 2, 2, mq_run_dlq},
    {"groups", "list|reset|delete STREAM [GROUP [OFFSET]]", "how far the groups of a stream are; send one elsewhere, or forget it", groups_options, 2, 4,
     mq_run_groups},
    {"list", "[QUEUE...]", "show queues: messages, consumers", list_options, 0, -1, mq_run_list},
    {"publish", "QUEUE [MESSAGE]", "send a message, which is else read from standard input, and wait until it is safe", publish_options, 1, 2,
     mq_run_publish},
    {"purge", "QUEUE", "throw away all messages that wait in a queue", server_options, 1, 1, mq_run_purge},
    {"tail", "EXCHANGE [KEY]", "show what passes an exchange, and take nothing away from others", tail_options, 1, 2, mq_run_tail},
    {"unbind", "QUEUE EXCHANGE [KEY]", "undo a binding", bind_options, 2, 3, mq_run_unbind},
    {"work", "QUEUE", "do what messages ask for: take one, be busy, succeed or fail; for lessons and tests", work_options, 1, 1, mq_run_work},
    {0},
};
