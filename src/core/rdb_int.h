/* rdb_int.h - numbers of the format that its reader and its writer share. */
#ifndef SD_CORE_RDB_INT_H
#define SD_CORE_RDB_INT_H

enum {
	OP_FUNCTION_OLD = 246,
	OP_FUNCTION = 245,
	OP_MODULE = 247,
	OP_IDLE = 248,
	OP_FREQ = 249,
	OP_AUX = 250,
	OP_SIZES = 251,
	OP_EXPIRES_MS = 252,
	OP_EXPIRES_S = 253,
	OP_DB = 254,
	OP_END = 255,
};

#define LENGTH_14    0x40u
#define LENGTH_32    0x80u
#define LENGTH_64    0x81u
#define STRING_INT8  0xc0u
#define STRING_INT16 0xc1u
#define STRING_INT32 0xc2u
#define STRING_LZF   0xc3u

#define SEAL 10 /* version and checksum */

#endif
