/* limit_words.c - what a store of limits is asked, and what its answers mean. Pure. */
#include <stdio.h>
#include <string.h>

#include "limit_words.h"

#define US     INT64_C(1000)
#define SECOND INT64_C(1000000000)
/* Numbers in Lua are doubles; the script adds two of what is bounded by this, and divides the sum: exact below 2^53. */
#define EXACT (INT64_C(1) << 52)

/* For each limit one key and five arguments: kind, three numbers of the kind, cost; at the end t to take all or none, p to tell what
 * that would do, s to give back (a cost below 0) or to charge, at most what there is, d to forget. Answers six numbers for each: 1 when
 * it lets through, what remains, and microseconds: until it would pass (-1: never), until one more is there, until all are, until its turn.
 *
 *	kind     numbers                 value of its key
 *	b, q     count, period, burst    moment, what was missing then in 1/count of a microsecond, count, period
 *	f        count, period, aligned  begin of the window, used in it, period
 *	s        count, period, -        begin of the window, used in it, used in the one before, period
 *	l        count, period, -        a list of the moment of each unit, the oldest first
 *
 * Count and period of a bucket have no common divisor, which keeps its numbers small. Nothing is written before all limits were
 * looked at, and what is written gets its end in the same command, or, of a list, before the script is over. */
const char sd_limit_script[] =
    "local t=redis.call('TIME')\n"
    "local clock=t[1]*1000000+t[2]\n"
    "local up,down,most=math.ceil,math.floor,math.max\n"
    "local function ms(us) return string.format('%.0f',most(0,down(us/1000))+1) end\n"
    "local function read(key)\n"
    " local r,v={},redis.call('GET',key)\n"
    " if v then for x in string.gmatch(v,'%d+') do r[#r+1]=tonumber(x) end end\n"
    " return r\n"
    "end\n"
    "local function keep(key,us,...)\n"
    " local v={...}\n"
    " for i=1,#v do v[i]=string.format('%.0f',v[i]) end\n"
    " redis.call('SET',key,table.concat(v,' '),'PX',ms(us))\n"
    "end\n"
    "local look={}\n"
    /* buckets */
    "function look.b(key,count,period,burst,cost)\n"
    " local r,m,all=read(key),0,burst*period\n"
    " if #r==4 then\n"
    "  m=most(0,r[2]-most(0,clock-r[1])*r[3])\n"
    "  if r[3]~=count or r[4]~=period then m=up(m*period/r[4]) end\n"
    "  m=math.min(m,all)\n"
    " end\n"
    " local s,after={delay=up(m/count)},m+cost*period\n"
    " s.ok=after<=all\n"
    " if s.ok then m=most(0,after) else s.retry=cost>burst and -1 or up((after-all)/count) end\n"
    " s.left=down((all-m)/period)\n"
    " s.next=m>0 and up(((s.left+1)*period-(all-m))/count) or 0\n"
    " s.reset=up(m/count)\n"
    " s.save=function() keep(key,m/count,clock,m,count,period) end\n"
    " return s\n"
    "end\n"
    /* fixed window; after a change of its period what was used stays used to the end of the old one */
    "function look.f(key,count,period,aligned,cost)\n"
    " local r,now=read(key),clock\n"
    " if #r==3 then now=most(now,r[1]) end\n"
    " local start,used=now,0\n"
    " if aligned==1 then start=now-now%period end\n"
    " if #r==3 and now-r[1]<r[3] and (aligned==1 or now-r[1]<period) then\n"
    "  used=math.min(r[2],count)\n"
    "  if aligned~=1 then start=r[1] end\n"
    " end\n"
    " local s,left={ok=used+cost<=count},start+period-now\n"
    " if s.ok then used=most(0,used+cost) else s.retry=cost>count and -1 or left end\n"
    " s.left=count-used\n"
    " s.next=used>0 and left or 0\n"
    " s.reset=s.next\n"
    " s.save=function() keep(key,left,start,used,period) end\n"
    " return s\n"
    "end\n"
    /* sliding counter */
    "function look.s(key,count,period,_,cost)\n"
    " local r,now,used,before=read(key),clock,0,0\n"
    " if #r==4 then now=most(now,r[1]) end\n"
    " local start=now-now%period\n"
    " if #r==4 and r[4]==period then\n"
    "  if start<=r[1] then used,before=r[2],r[3] elseif start-r[1]<=period then before=r[2] end\n"
    " elseif #r==4 and now-r[1]<2*r[4] then used=r[2]+r[3] end\n"
    " used,before=math.min(used,count),math.min(before,count)\n"
    " local passed=now-start\n"
    " local function left() return most(0,down((count*period-before*(period-passed)-used*period)/period)) end\n"
    " local function wait(units)\n"
    "  local later=used+units>count\n"
    "  local slides=later and used or before\n"
    "  local room=count-units-(later and 0 or used)\n"
    "  local stay=slides>room and down(room*period/slides) or period\n"
    "  return most(0,(later and period or 0)+period-stay-passed)\n"
    " end\n"
    " local s={ok=cost<=left()}\n"
    " if s.ok then used=most(0,used+cost) else s.retry=cost>count and -1 or wait(cost) end\n"
    " s.left=left()\n"
    " s.next=s.left<count and wait(s.left+1) or 0\n"
    " s.reset=(used>0 and 2 or before>0 and 1 or 0)*period-passed\n"
    " s.save=function() keep(key,2*period-passed,start,used,before,period) end\n"
    " return s\n"
    "end\n"
    /* sliding log */
    "function look.l(key,count,period,_,cost)\n"
    " local function at(i) return tonumber(redis.call('LINDEX',key,i)) end\n"
    " local n,now=redis.call('LLEN',key),clock\n"
    " if n>0 then now=most(now,at(-1)) end\n"
    " while n>0 and at(0)<=now-period do redis.call('LPOP',key) n=n-1 end\n"
    " cost=most(cost,-n)\n"
    " local s={ok=n+cost<=count}\n"
    " if not s.ok then s.retry=cost>count and -1 or at(n+cost-count-1)+period-now end\n"
    " local stay,more=s.ok and math.min(n,n+cost) or n,s.ok and cost>0\n"
    " s.left=most(0,count-stay-(more and cost or 0))\n"
    " s.next=stay>0 and at(most(0,stay-count))+period-now or more and period or 0\n"
    " s.reset=more and period or stay>0 and at(stay-1)+period-now or 0\n"
    " s.save=function()\n"
    "  for i=1,cost do redis.call('RPUSH',key,string.format('%.0f',now)) end\n"
    "  for i=1,-cost do redis.call('RPOP',key) end\n"
    "  redis.call('PEXPIRE',key,ms(period))\n"
    " end\n"
    " return s\n"
    "end\n"
    "look.q=look.b\n"
    "local function ask(i,cost)\n"
    " local a=i*5-5\n"
    " return look[ARGV[a+1]](KEYS[i],tonumber(ARGV[a+2]),tonumber(ARGV[a+3]),tonumber(ARGV[a+4]),cost or tonumber(ARGV[a+5]))\n"
    "end\n"
    "local mode,all,seen,out=ARGV[#KEYS*5+1],true,{},{}\n"
    "for i=1,#KEYS do\n"
    " local cost=tonumber(ARGV[i*5])\n"
    " if mode=='d' then redis.call('DEL',KEYS[i]) cost=0 end\n"
    " if mode=='s' and cost>0 then cost=math.min(cost,ask(i,0).left) end\n"
    " seen[i]=ask(i,cost)\n"
    " all=all and seen[i].ok\n"
    "end\n"
    "for i=1,#KEYS do\n"
    " local s=seen[i]\n"
    " if all and (mode=='t' or mode=='s') then s.save() elseif s.ok then s=ask(i,0) end\n"
    " local v={s.ok and 1 or 0,s.left,s.retry or 0,s.next,most(0,s.reset),ARGV[i*5-4]=='q' and all and mode=='t' and s.delay or 0}\n"
    " for k=1,6 do out[#out+1]=v[k] end\n"
    "end\n"
    "return out\n";

#define ANSWERS 6 /* numbers for each limit */

/* ---- which limits ---- */

static const char letters[] = "bbbqfsl"; /* in the order of enum sd_ratelimit_kind */

static bool is_bucket(const struct sd_ratelimit_limit *l)
{
	return l->kind <= SD_RATELIMIT_LEAKY_QUEUE;
}

static int64_t divisor(int64_t a, int64_t b)
{
	while (b) {
		int64_t rest = a % b;
		a = b;
		b = rest;
	}
	return a;
}

/* Count and period in microseconds, as the script gets them. */
static void reduced(const struct sd_ratelimit_limit *l, int64_t *count, int64_t *period)
{
	int64_t by = is_bucket(l) ? divisor(l->period_ns / US, l->count) : 1;
	*count = l->count / by;
	*period = l->period_ns / US / by;
}

static bool is_exact(const struct sd_ratelimit_limit *l)
{
	int64_t count, period;
	reduced(l, &count, &period);
	return l->kind == SD_RATELIMIT_FIXED_WINDOW || l->kind == SD_RATELIMIT_SLIDING_LOG ||
	       period <= EXACT / sd_ratelimit_most(l);
}

/* CL.THROTTLE knows whole seconds: the same rate, told for as many of them as it needs. False: that many are too many. */
static bool in_seconds(const struct sd_ratelimit_limit *l, int64_t *count, int64_t *seconds)
{
	int64_t by = divisor(l->period_ns, SECOND);
	*count = l->count * (SECOND / by);
	*seconds = l->period_ns / by;
	return *count <= UINT32_MAX && *seconds <= (INT64_C(1) << 60) / SECOND;
}

enum sd_err sd_limit_fits(const char *name, const struct sd_ratelimit_limit *l, enum sd_limit_tongue tongue, struct sd_error *e)
{
	int64_t count, seconds;
	if (tongue == SD_LIMIT_THROTTLE && (!is_bucket(l) || l->kind == SD_RATELIMIT_LEAKY_QUEUE))
		return sd_fail(e, SD_EUSAGE, "rule %s: a store without Lua keeps token-bucket, gcra and leaky-bucket only", name);
	if (tongue == SD_LIMIT_THROTTLE && !in_seconds(l, &count, &seconds))
		return sd_fail(e, SD_EUSAGE, "rule %s: a store without Lua counts whole seconds: expected a rate that does", name);
	if (l->period_ns % US)
		return sd_fail(e, SD_EUSAGE, "rule %s: rate: a store counts whole microseconds", name);
	if (l->kind == SD_RATELIMIT_SLIDING_LOG && (l->buckets || l->count > SD_LIMIT_STORE_LOG))
		return sd_fail(e, SD_EUSAGE, "rule %s: a sliding log in a store has at most %d moments and no resolution", name, SD_LIMIT_STORE_LOG);
	if (!is_exact(l))
		return sd_fail(e, SD_EUSAGE, "rule %s: rate: too many in too long a time for a store to count exactly", name);
	return SD_OK;
}

size_t sd_limit_store_key(const struct sd_limit_item *item, struct sd_slice key, char out[SD_LIMIT_STORE_KEY])
{
	int n = snprintf(out, SD_LIMIT_STORE_KEY, "ratelimit:%c:%s:", letters[item->limit.kind], item->name);
	size_t room = SD_LIMIT_STORE_KEY - (size_t)n, m = key.n < room ? key.n : room;
	if (m)
		memcpy(out + n, key.p, m);
	return (size_t)n + m;
}

/* Units that are taken, or, below 0, given back. */
static int64_t units_of(enum sd_limit_op op, const struct sd_limit_item *item)
{
	return op == SD_LIMIT_SETTLE ? (int64_t)item->used - item->cost : op == SD_LIMIT_FORGET ? 0 : item->cost;
}

/* ---- Lua ---- */

static void add(struct sd_limit_words *w, struct sd_slice word)
{
	w->argv[w->n++] = word;
}

static void add_number(struct sd_limit_words *w, char text[24], int64_t v)
{
	add(w, (struct sd_slice){text, sd_resp_int_text(text, v)});
}

static void add_limit(struct sd_limit_words *w, size_t i, enum sd_limit_op op, const struct sd_limit_item *item)
{
	const struct sd_ratelimit_limit *l = &item->limit;
	int64_t count, period;
	reduced(l, &count, &period);
	add(w, (struct sd_slice){&letters[l->kind], 1});
	add_number(w, w->numbers[i][0], count);
	add_number(w, w->numbers[i][1], period);
	add_number(w, w->numbers[i][2], is_bucket(l) ? (int64_t)l->burst : l->aligned);
	add_number(w, w->numbers[i][3], units_of(op, item));
}

void sd_limit_evaluate(struct sd_limit_words *w, const char *sha, enum sd_limit_op op, const struct sd_limit_item *items, const struct sd_slice *keys,
		       size_t n)
{
	static const char *const modes[] = {"t", "p", "s", "d"};
	w->n = 0;
	add(w, sd_slice_of(sha ? "EVALSHA" : "EVAL"));
	add(w, sd_slice_of(sha ? sha : sd_limit_script));
	add_number(w, w->numbers[0][4], (int64_t)n);
	for (size_t i = 0; i < n; i++)
		add(w, keys[i]);
	for (size_t i = 0; i < n; i++)
		add_limit(w, i, op, &items[i]);
	add(w, sd_slice_of(modes[op]));
}

static int64_t ns_of(int64_t us)
{
	return us > INT64_MAX / US ? INT64_MAX : us * US;
}

bool sd_limit_evaluated(const struct sd_resp_value *reply, const struct sd_limit_item *items, size_t n,
			struct sd_ratelimit_answer *answers)
{
	if (reply->kind != SD_RESP_ARRAY || reply->items != n * ANSWERS)
		return false;
	for (size_t i = 0; i < n; i++) {
		const struct sd_resp_value *v = reply + 1 + i * ANSWERS;
		uint32_t most = sd_ratelimit_most(&items[i].limit);
		for (size_t k = 0; k < ANSWERS; k++)
			if (v[k].kind != SD_RESP_INT || v[k].n < (k == 2 ? -1 : 0))
				return false;
		if (v[0].n > 1 || v[1].n > most)
			return false;
		answers[i] = (struct sd_ratelimit_answer){.allowed = v[0].n == 1,
							  .most = most,
							  .remaining = (uint32_t)v[1].n,
							  .retry_ns = v[2].n < 0 ? -1 : ns_of(v[2].n),
							  .next_ns = ns_of(v[3].n),
							  .reset_ns = ns_of(v[4].n),
							  .delay_ns = ns_of(v[5].n)};
	}
	return true;
}

/* ---- CL.THROTTLE ---- */

bool sd_limit_throttle(struct sd_limit_words *w, enum sd_limit_op op, const struct sd_limit_item *item, struct sd_slice key)
{
	int64_t count, seconds, units = op == SD_LIMIT_PEEK ? 0 : units_of(op, item);
	in_seconds(&item->limit, &count, &seconds);
	w->n = 0;
	add(w, sd_slice_of("CL.THROTTLE"));
	add(w, key);
	add_number(w, w->numbers[0][0], (int64_t)item->limit.burst - 1);
	add_number(w, w->numbers[0][1], count);
	add_number(w, w->numbers[0][2], seconds);
	add_number(w, w->numbers[0][3], units);
	return op != SD_LIMIT_FORGET && (op != SD_LIMIT_SETTLE || units <= 0);
}

/* Its seconds are cut off; who comes after so many and one more is not too early. */
static int64_t whole(int64_t seconds)
{
	return seconds >= INT64_MAX / SECOND ? INT64_MAX : (seconds + 1) * SECOND;
}

/* Nothing was asked for: what would be, of what is left. */
static void would(struct sd_ratelimit_answer *a, uint32_t cost)
{
	a->allowed = cost <= a->remaining;
	a->retry_ns = a->allowed ? 0 : cost > a->most ? -1 : (int64_t)(cost - a->remaining) * a->next_ns;
}

bool sd_limit_throttled(const struct sd_resp_value *reply, enum sd_limit_op op, const struct sd_limit_item *item, struct sd_ratelimit_answer *a)
{
	const struct sd_ratelimit_limit *l = &item->limit;
	const struct sd_resp_value *v = reply + 1;
	if (reply->kind != SD_RESP_ARRAY || reply->items != 5)
		return false;
	for (size_t k = 0; k < 5; k++)
		if (v[k].kind != SD_RESP_INT || v[k].n < (k == 3 ? -1 : 0))
			return false;
	if (v[0].n > 1 || v[2].n > l->burst)
		return false;
	bool some = v[2].n < l->burst;
	*a = (struct sd_ratelimit_answer){.allowed = v[0].n == 0, .most = l->burst, .remaining = (uint32_t)v[2].n};
	a->retry_ns = a->allowed ? 0 : v[3].n < 0 ? -1 : whole(v[3].n);
	a->next_ns = some ? (l->period_ns - 1) / l->count + 1 : 0;
	a->reset_ns = some ? whole(v[4].n) : 0;
	if (op == SD_LIMIT_PEEK)
		would(a, item->cost);
	return true;
}

bool sd_limit_has_throttle(const struct sd_resp_value *reply)
{
	return reply->kind == SD_RESP_ARRAY && reply->items == 1 && sd_resp_has_items(reply[1].kind) && reply[1].items > 0;
}
