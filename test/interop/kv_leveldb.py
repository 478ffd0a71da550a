"""Random stores, written by LevelDB and by `sdlab kv import`, read by the other."""
import glob
import random
import subprocess
import sys

import plyvel

SDLAB = sys.argv[1]
LETTERS = [b'a', b'b', b'\xff', b'\0', b'key']


def kv(*words, **more):
    return subprocess.run([SDLAB, 'kv', *words], capture_output=True, check=False, **more)


def escape(b):
    return ''.join(f'\\x{c:02x}' for c in b)


def unescape(text):
    return text.decode('latin-1').encode('latin-1').decode('unicode_escape').encode('latin-1')


def some_key(rng):
    return b''.join(rng.choice(LETTERS) for _ in range(rng.randrange(7)))


def must(good, what):
    if not good:
        sys.exit(f'FAILED: {what}')


def dumped(folder):
    out = kv('dump', folder)
    must(out.returncode == 0, f'dump: {out.stderr}')
    lines = [line.split(b'\t') for line in out.stdout.splitlines()]
    return {unescape(k): unescape(v) for k, v in lines}


def written_by_leveldb(seed, compression):
    """Puts, removals, batches, compactions and reopening; in the end some of it is only in a log."""
    rng, model, folder = random.Random(seed), {}, f'theirs-{seed}'
    options = {'write_buffer_size': 65536, 'bloom_filter_bits': 10 if seed % 2 else 0, 'compression': compression, 'block_size': 512}
    db = plyvel.DB(folder, create_if_missing=True, **options)
    for step in range(6000):
        key = some_key(rng) + b'%d' % rng.randrange(400)
        if rng.random() < 0.25:
            db.delete(key)
            model.pop(key, None)
        else:
            model[key] = bytes(rng.randrange(256) for _ in range(rng.randrange(90)))
            db.put(key, model[key])
        if step % 1500 == 700:
            db.close()
            db = plyvel.DB(folder, **options)
        if step == 4000:
            db.compact_range()
    db.close()
    must(dumped(folder) == model, f'{folder}: other keys or values')
    out = kv('check', folder)
    must(out.returncode == 0 and out.stdout.startswith(b'ok: '), f'{folder}: {out.stdout} {out.stderr}')
    for key in rng.sample(sorted(k for k in model if b'\0' not in k and b'\xff' not in k), 12):
        out = kv('get', '--raw', folder, key)
        must(out.returncode == 0 and out.stdout == model[key], f'{folder}: get {key}')


def written_by_us(seed):
    rng, folder = random.Random(seed), f'ours-{seed}'
    model = {some_key(rng) + b'%d' % rng.randrange(4000): bytes(rng.randrange(256) for _ in range(rng.randrange(300))) for _ in range(15000)}
    lines = ''.join(f'{escape(k)}\t{escape(v)}\n' for k, v in model.items())
    out = kv('import', folder, input=lines.encode())
    must(out.returncode == 0, f'import: {out.stderr}')
    db = plyvel.DB(folder, paranoid_checks=True, bloom_filter_bits=10)
    must(dict(db.iterator(verify_checksums=True)) == model, f'{folder}: other keys or values')
    must([k for k, _ in db.iterator(reverse=True)] == sorted(model, reverse=True), f'{folder}: backwards')
    must(all(db.get(k) == v for k, v in model.items()), f'{folder}: get')
    must(db.get(b'not there') is None, f'{folder}: what is not there')
    db.put(b'new', b'one')
    db.compact_range()
    db.close()
    must(dumped(folder) == {**model, b'new': b'one'}, f'{folder}: after LevelDB compacted it')


def same_bytes():
    rng = random.Random(5)
    keys = sorted({some_key(rng) for _ in range(3000)} | {b'k%05d' % i for i in range(9000)})
    values = [bytes(rng.randrange(256) for _ in range(rng.randrange(50))) for _ in keys]
    db = plyvel.DB('same', create_if_missing=True, write_buffer_size=64 << 20, max_file_size=64 << 20, bloom_filter_bits=10, compression=None)
    for k, v in zip(keys, values):
        db.put(k, v)
    db.compact_range()
    db.close()
    lines = ''.join(f'{escape(k)}\t{escape(v)}\n' for k, v in zip(keys, values))
    kv('import', 'same-ours', input=lines.encode())
    with open(glob.glob('same/*.ldb')[0], 'rb') as theirs, open('same-ours/000002.ldb', 'rb') as ours:
        must(theirs.read() == ours.read(), 'a table is another than LevelDB writes')


for n in range(3):
    written_by_leveldb(n, 'snappy' if n < 2 else None)
written_by_us(11)
same_bytes()
print('all the same')
