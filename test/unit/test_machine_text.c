/* What the kernel writes about a machine: /proc, control groups, mounts; and what is no such thing. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/machine_text.h"
#include "guard.h"

/* ---- numbers ---- */

START_TEST(numbers)
{
	ck_assert_int_eq(sd_text_number("32768\t60999\n", 0), 32768);
	ck_assert_int_eq(sd_text_number("32768\t60999\n", 1), 60999);
	ck_assert_int_eq(sd_text_number("32768\t60999\n", 2), SD_UNKNOWN);
	ck_assert_int_eq(sd_text_number(" 602  0 2466177", 2), 2466177);
	ck_assert_int_eq(sd_text_number("0\n", 0), 0);
	ck_assert_int_eq(sd_text_number("9223372036854775806", 0), INT64_MAX - 1);
	ck_assert_int_eq(sd_text_number("9223372036854775808", 0), SD_UNLIMITED);
	ck_assert_int_eq(sd_text_number("99999999999999999999999999", 0), SD_UNLIMITED);
}
END_TEST

START_TEST(numbers_that_are_none)
{
	static const char *const bad[] = {"", "\n", " ", "-1", "x", "12x", "0x10", "1,2", "+5", "1.5"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(sd_text_number(bad[i], 0) == SD_UNKNOWN, "\"%s\" is taken for a number", bad[i]);
	ck_assert_int_eq(sd_text_number(NULL, 0), SD_UNKNOWN);
	ck_assert_int_eq(sd_text_number("5", 4000000000u), SD_UNKNOWN);
}
END_TEST

static const char meminfo[] = "MemTotal:       24684092 kB\n"
			      "MemFree:        24185620 kB\n"
			      "MemAvailable:   24257348 kB\n"
			      "SwapTotal:             0 kB\n"
			      "Bad:                  no kB\n"
			      "Huge: 9223372036854775807 kB\n"
			      "Last:                  7 kB";

START_TEST(memory)
{
	ck_assert_int_eq(sd_meminfo_bytes(meminfo, "MemTotal"), 24684092ll * 1024);
	ck_assert_int_eq(sd_meminfo_bytes(meminfo, "MemAvailable"), 24257348ll * 1024);
	ck_assert_int_eq(sd_meminfo_bytes(meminfo, "SwapTotal"), 0);
	ck_assert_int_eq(sd_meminfo_bytes(meminfo, "Last"), 7 * 1024);
	/* neither a part of a key nor the end of one */
	ck_assert_int_eq(sd_meminfo_bytes(meminfo, "Mem"), SD_UNKNOWN);
	ck_assert_int_eq(sd_meminfo_bytes(meminfo, "Total"), SD_UNKNOWN);
	ck_assert_int_eq(sd_meminfo_bytes(meminfo, "Bad"), SD_UNKNOWN);
	ck_assert_int_eq(sd_meminfo_bytes(meminfo, "Huge"), SD_UNKNOWN);
	ck_assert_int_eq(sd_meminfo_bytes("MemTotal:", "MemTotal"), SD_UNKNOWN);
	ck_assert_int_eq(sd_meminfo_bytes("", "MemTotal"), SD_UNKNOWN);
	ck_assert_int_eq(sd_meminfo_bytes(NULL, "MemTotal"), SD_UNKNOWN);
}
END_TEST

/* ---- limits of control groups ---- */

START_TEST(limits)
{
	ck_assert_int_eq(sd_cgroup_limit("max\n"), SD_UNLIMITED);
	ck_assert_int_eq(sd_cgroup_limit("-1\n"), SD_UNLIMITED);
	ck_assert_int_eq(sd_cgroup_limit("9223372036854771712\n"), SD_UNLIMITED);
	ck_assert_int_eq(sd_cgroup_limit("536870912\n"), 536870912);
	ck_assert_int_eq(sd_cgroup_limit("0"), 0);
	ck_assert_int_eq(sd_cgroup_limit("maximum"), SD_UNKNOWN);
	ck_assert_int_eq(sd_cgroup_limit("-12"), SD_UNKNOWN);
	ck_assert_int_eq(sd_cgroup_limit(""), SD_UNKNOWN);
	ck_assert_int_eq(sd_cgroup_limit(NULL), SD_UNKNOWN);

	ck_assert_int_eq(sd_limit_min(3, 5), 3);
	ck_assert_int_eq(sd_limit_min(5, 3), 3);
	ck_assert_int_eq(sd_limit_min(SD_UNKNOWN, 5), 5);
	ck_assert_int_eq(sd_limit_min(5, SD_UNKNOWN), 5);
	ck_assert_int_eq(sd_limit_min(SD_UNLIMITED, 5), 5);
	ck_assert_int_eq(sd_limit_min(SD_UNLIMITED, SD_UNKNOWN), SD_UNLIMITED);
	ck_assert_int_eq(sd_limit_min(SD_UNKNOWN, SD_UNKNOWN), SD_UNKNOWN);
}
END_TEST

START_TEST(processor)
{
	ck_assert_int_eq(sd_cgroup_cpu_max("max 100000\n"), SD_UNLIMITED);
	ck_assert_int_eq(sd_cgroup_cpu_max("150000 100000\n"), 1500);
	ck_assert_int_eq(sd_cgroup_cpu_max("5000 100000"), 50);
	ck_assert_int_eq(sd_cgroup_cpu_max("5000 0"), SD_UNKNOWN);
	ck_assert_int_eq(sd_cgroup_cpu_max("5000"), SD_UNKNOWN);
	ck_assert_int_eq(sd_cgroup_cpu_max("4000000000000000000 1"), SD_UNKNOWN);
	ck_assert_int_eq(sd_cgroup_cpu_max(""), SD_UNKNOWN);
	ck_assert_int_eq(sd_cgroup_cpu_max(NULL), SD_UNKNOWN);

	ck_assert_int_eq(sd_cgroup_cpu_quota("-1\n", "100000\n"), SD_UNLIMITED);
	ck_assert_int_eq(sd_cgroup_cpu_quota("200000\n", "100000\n"), 2000);
	ck_assert_int_eq(sd_cgroup_cpu_quota("200000\n", NULL), SD_UNKNOWN);
	ck_assert_int_eq(sd_cgroup_cpu_quota(NULL, "100000\n"), SD_UNKNOWN);
	ck_assert_int_eq(sd_cgroup_cpu_quota("200000\n", "-1"), SD_UNKNOWN);
}
END_TEST

/* ---- where a control group is ---- */

static const char mounts_v1[] =
    "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 /docker/af1 /sys/fs/cgroup/memory ro master:12 shared:3 - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
static const char mounts_v2[] = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"
				"31 23 0:28 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
static const char groups_v1[] = "12:cpu,cpuacct:/user.slice/a\n4:memory:/docker/af1/inner\n3:pids:/x\n1:name=systemd:/\n0::/two\n";

static void is_at(const char *groups, const char *mounts, const char *controller, const char *dir, size_t top, bool v2)
{
	struct sd_cgroup_place at;
	ck_assert_msg(sd_cgroup_find(groups, mounts, controller, &at), "%s is nowhere", controller);
	ck_assert_str_eq(at.dir, dir);
	ck_assert_uint_eq(at.top, top);
	ck_assert_int_eq(at.v2, v2);
}

START_TEST(group_of_version_1)
{
	is_at(groups_v1, mounts_v1, "cpu", "/sys/fs/cgroup/cpu,cpuacct/user.slice/a", 26, false);
	/* the mount shows our part of the tree only */
	is_at(groups_v1, mounts_v1, "memory", "/sys/fs/cgroup/memory/inner", 21, false);
	/* named, but not mounted: then version 2 has it */
	is_at(groups_v1, mounts_v1, "pids", "/sys/fs/cgroup/unified/two", 22, true);
	is_at("4:memory:/elsewhere\n", mounts_v1, "memory", "/sys/fs/cgroup/memory", 21, false);
}
END_TEST

START_TEST(group_of_version_2)
{
	is_at("0::/user.slice/a.scope\n", mounts_v2, "memory", "/sys/fs/cgroup/user.slice/a.scope", 14, true);
	is_at("0::/\n", mounts_v2, "cpu", "/sys/fs/cgroup", 14, true);
	is_at("0::/with:colon", mounts_v2, "cpu", "/sys/fs/cgroup/with:colon", 14, true);
	is_at("0::/a\n", "31 23 0:28 / /a\\040b\\134c rw - cgroup2 x rw\n", "cpu", "/a b\\c/a", 6, true);
}
END_TEST

START_TEST(group_of_nothing)
{
	struct sd_cgroup_place at;
	char *longer = malloc(5000);
	memset(longer, 'x', 4999);
	longer[4999] = '\0';
	memcpy(longer, "0::/", 4);
	ck_assert(!sd_cgroup_find(NULL, mounts_v2, "cpu", &at));
	ck_assert(!sd_cgroup_find("0::/\n", NULL, "cpu", &at));
	ck_assert(!sd_cgroup_find("", mounts_v2, "cpu", &at));
	ck_assert(!sd_cgroup_find("0::/\n", "", "cpu", &at));
	ck_assert(!sd_cgroup_find("4:memory:/\n", mounts_v2, "memory", &at));
	ck_assert(!sd_cgroup_find("cpu", "cpu", "cpu", &at));
	ck_assert(!sd_cgroup_find("::::\n\n:", "- - - -\n\n - cgroup2", "cpu", &at));
	ck_assert(!sd_cgroup_find(longer, mounts_v2, "cpu", &at));
	free(longer);
}
END_TEST

/* ---- filesystems ---- */

static const char *type_of(const char *path)
{
	static const char mounts[] = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
				     "28 27 0:21 / /data rw shared:1 - xfs /dev/vdb rw\n"
				     "29 28 0:22 / /data/my\\040disk rw - btrfs /dev/vdc rw\n"
				     "30 28 0:23 / /over rw - ext3 /dev/vdd rw\n"
				     "31 28 0:24 / /over rw - tmpfs none rw\n";
	static char type[8];
	return sd_mount_type(mounts, path, type, sizeof(type)) ? type : "none";
}

START_TEST(filesystem)
{
	char type[4];
	ck_assert_str_eq(type_of("/"), "ext4");
	ck_assert_str_eq(type_of("/home/x"), "ext4");
	ck_assert_str_eq(type_of("/data"), "xfs");
	ck_assert_str_eq(type_of("/data/a"), "xfs");
	ck_assert_str_eq(type_of("/database"), "ext4");
	ck_assert_str_eq(type_of("/data/my disk/b"), "btrfs");
	ck_assert_str_eq(type_of("/over/a"), "tmpfs"); /* what was mounted last is what one sees */
	ck_assert_str_eq(type_of("relative"), "none");
	ck_assert(!sd_mount_type(NULL, "/", type, sizeof(type)));
	ck_assert(!sd_mount_type("", "/", type, sizeof(type)));
	ck_assert(!sd_mount_type("1 2 3", "/", type, sizeof(type)));
	ck_assert(!sd_mount_type("27 1 254:0 / / rw - ext4 /dev/vda rw", "/", type, sizeof(type))); /* no room */
}
END_TEST

/* Everything cut off at every byte, and ending where nothing may be read. */
START_TEST(cut_off)
{
	struct sd_cgroup_place at;
	char type[32], copy[1000];
	struct guard g = guard_new(sizeof(copy));
	static const char *const texts[] = {meminfo, mounts_v1, mounts_v2, groups_v1, "150000 100000\n", "a\\04"};
	for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++)
		for (size_t n = 0; n <= strlen(texts[t]); n++) {
			memcpy(copy, texts[t], n);
			copy[n] = '\0';
			const char *cut = guard_put(&g, copy, n + 1);
			sd_text_number(cut, 1);
			sd_meminfo_bytes(cut, "Last");
			sd_cgroup_cpu_max(cut);
			sd_cgroup_find(cut, mounts_v1, "memory", &at);
			sd_cgroup_find(groups_v1, cut, "memory", &at);
			sd_mount_type(cut, "/sys/fs/cgroup/memory", type, sizeof(type));
		}
	guard_free(&g);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("machine text");
	tcase_add_test(t, numbers);
	tcase_add_test(t, numbers_that_are_none);
	tcase_add_test(t, memory);
	tcase_add_test(t, limits);
	tcase_add_test(t, processor);
	tcase_add_test(t, group_of_version_1);
	tcase_add_test(t, group_of_version_2);
	tcase_add_test(t, group_of_nothing);
	tcase_add_test(t, filesystem);
	tcase_add_test(t, cut_off);
	Suite *s = suite_create("machine text");
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
