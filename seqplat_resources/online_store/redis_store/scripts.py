"""What has to happen in one step on the server, in Lua. Every script touches only keys that it is given, of one slot.

Numbers are compared as doubles, which are exact up to 2^53: versions, sequences and tokens stay far below, and offsets
are compared as text. An answer begins with a word: ``ok``, or what was found instead.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar


@dataclass(frozen=True)
class Script:
    """A script; calling it gives the command that runs it."""

    text: str
    by_sha: ClassVar[dict[str, "Script"]] = {}

    def __post_init__(self) -> None:
        Script.by_sha[self.sha] = self

    @cached_property
    def sha(self) -> str:
        return hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, keys: Sequence[bytes], *arguments: Any) -> tuple[Any, ...]:
        return ("EVALSHA", self.sha, len(keys), *keys, *arguments)


# --- leases and epochs ---------------------------------------------------------------------------------------------

_HEAD = """
local function head_of(pin, type)
  local found = redis.call('HGET', pin, 'h' .. type)
  if not found then return nil, nil end
  local oldest, number = found:match('^(%d+) (%d+)')
  return tonumber(number), tonumber(oldest)
end
"""

_LEASE = """
local function words(text)
  local found = {}
  for word in text:gmatch('%S+') do found[#found + 1] = word end
  return found
end
local function with_one(list, version)
  if list == '-' then return version end
  return list .. ',' .. version
end
local function first_not_held(leases, at)
  for i = at, #ARGV, 2 do
    local record = redis.call('HGET', leases, ARGV[i])
    local holder = record and words(record)[1] or '0'
    if holder ~= ARGV[i + 1] then return ARGV[i], ARGV[i + 1], holder end
  end
end
"""

# KEYS pin leases versions; ARGV type, day, expected epoch ('any', or '' for none), (day, version) held already...
LEASE = Script(
    _HEAD
    + _LEASE
    + """
local number = head_of(KEYS[1], ARGV[1])
if ARGV[3] ~= 'any' and tostring(number or '') ~= ARGV[3] then return {'epoch', tostring(number or '')} end
local day, mine, theirs = first_not_held(KEYS[2], 4)
if day then return {'taken', day, mine, theirs} end
local version = string.format('%d', redis.call('HINCRBY', KEYS[3], ARGV[1], 1))
local stored = redis.call('HGET', KEYS[2], ARGV[2])
local record = stored and words(stored) or {'0', '0', version, '-', '-'}
if record[1] ~= record[2] then record[4] = with_one(record[4], record[1]) end
record[1] = version
stored = table.concat(record, ' ')
redis.call('HSET', KEYS[2], ARGV[2], stored)
return {'ok', stored}
"""
)

# KEYS pin epochs leases; ARGV type, epoch it is based on ('' for none), new epoch, its nonce, its record, epochs to
# keep, epoch that must be kept ('' for none), (day, version) written...
COMMIT_EPOCH = Script(
    _HEAD
    + _LEASE
    + """
local number, oldest = head_of(KEYS[1], ARGV[1])
if tostring(number or '') ~= ARGV[2] then return {'epoch', tostring(number or '')} end
if ARGV[7] ~= '' and redis.call('HEXISTS', KEYS[2], ARGV[7]) == 0 then return {'gone'} end
local day, mine, theirs = first_not_held(KEYS[3], 8)
if day then return {'taken', day, mine, theirs} end
for i = 8, #ARGV, 2 do
  local record = words(redis.call('HGET', KEYS[3], ARGV[i]))
  record[2] = ARGV[i + 1]
  record[5] = with_one(record[5], ARGV[i + 1])
  redis.call('HSET', KEYS[3], ARGV[i], table.concat(record, ' '))
end
local new = tonumber(ARGV[3])
local first = math.max(oldest or new, new - tonumber(ARGV[6]) + 1)
redis.call('HSET', KEYS[2], ARGV[3], ARGV[5])
for old = oldest or new, first - 1 do redis.call('HDEL', KEYS[2], string.format('%d', old)) end
redis.call('HSET', KEYS[1], 'h' .. ARGV[1], string.format('%d', first) .. ' ' .. ARGV[3] .. ' ' .. ARGV[4])
return {'ok'}
"""
)

# KEYS pin epochs leases versions; ARGV type, epochs to keep. Answers ok, last version, epochs, leases.
FORGET = Script(
    _HEAD
    + """
local number, oldest = head_of(KEYS[1], ARGV[1])
if number then
  local first = math.max(oldest, number - tonumber(ARGV[2]) + 1)
  for old = oldest, first - 1 do redis.call('HDEL', KEYS[2], string.format('%d', old)) end
  local rest = redis.call('HGET', KEYS[1], 'h' .. ARGV[1]):match('^%d+( .*)$')
  redis.call('HSET', KEYS[1], 'h' .. ARGV[1], string.format('%d', first) .. rest)
end
return {'ok', redis.call('HGET', KEYS[4], ARGV[1]) or '0', redis.call('HGETALL', KEYS[2]),
        redis.call('HGETALL', KEYS[3])}
"""
)

# KEYS pin leases versions; ARGV type, epoch looked at ('' for none), days that no epoch shows. Takes them over as if
# nothing had ever been written. Answers ok and the version that now holds all of them.
DESERT = Script(
    _HEAD
    + """
local number = head_of(KEYS[1], ARGV[1])
if tostring(number or '') ~= ARGV[2] then return {'epoch', tostring(number or '')} end
local version = string.format('%d', redis.call('HINCRBY', KEYS[3], ARGV[1], 1))
for i = 3, #ARGV do redis.call('HSET', KEYS[2], ARGV[i], version .. ' 0 ' .. version .. ' - -') end
return {'ok', version}
"""
)

# KEYS leases; ARGV version, days. Ends the leases that this version still holds.
END_LEASES = Script(
    _LEASE
    + """
for i = 2, #ARGV do
  local record = redis.call('HGET', KEYS[1], ARGV[i])
  if record and words(record)[1] == ARGV[1] then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
return {'ok'}
"""
)

# KEYS leases; ARGV day, rosters that were deleted.
FORGET_ROSTERS = Script(
    _LEASE
    + """
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not stored then return {'ok'} end
local gone = {}
for i = 2, #ARGV do gone[ARGV[i]] = true end
local record, left = words(stored), {}
for version in record[5]:gmatch('%d+') do
  if not gone[version] then left[#left + 1] = version end
end
record[5] = #left > 0 and table.concat(left, ',') or '-'
redis.call('HSET', KEYS[1], ARGV[1], table.concat(record, ' '))
return {'ok'}
"""
)

# --- blocks of a user ------------------------------------------------------------------------------------------------

_ENTRIES = """
local function delete_block(index, data, name)
  local value = redis.call('HGET', index, name)
  if not value then return 0 end
  redis.call('HDEL', index, name)
  local fields = {name}
  for tag in (value:match('^%S+ %S+ %S+ ([%d,]+)') or ''):gmatch('%d+') do fields[#fields + 1] = name .. '/' .. tag end
  redis.call('HDEL', data, unpack(fields))
  return 1
end
"""

# KEYS index data; ARGV day, version, '' or 'x' (the user left), index value, versions that readers need (a,b or -),
# oldest valid version, versions that do not count (a,b or -), (field, value) of the block...
PUT = Script(
    _ENTRIES
    + """
local day, mine, kind = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local since, invalid, needed = tonumber(ARGV[6]), {}, {}
for version in ARGV[7]:gmatch('%d+') do invalid[tonumber(version)] = true end
local older, valid = {}, {}
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  local of, version = name:match('^(%d+)%.(%d+)x?$')
  if of == day and tonumber(version) <= mine then
    older[#older + 1] = {name, tonumber(version)}
  elseif not of then
    local value = redis.call('HGET', KEYS[1], name)
    version = (' ' .. value:match('%S+$'):gsub(',', ' ')):match(' ' .. day .. ':(%d+)')
    if version then valid[#valid + 1] = tonumber(version) end
  end
end
local function counts(version) return version >= since and version < mine and not invalid[version] end
for _, entry in ipairs(older) do
  if counts(entry[2]) then valid[#valid + 1] = entry[2] end
end
for bound in ARGV[5]:gmatch('%d+') do
  local newest = 0
  for _, version in ipairs(valid) do
    if version <= tonumber(bound) and version > newest and counts(version) then newest = version end
  end
  needed[newest] = true
end
local hides = false
for _, entry in ipairs(older) do
  if not (counts(entry[2]) and needed[entry[2]]) then delete_block(KEYS[1], KEYS[2], entry[1]) end
end
for _, version in ipairs(valid) do hides = hides or (counts(version) and needed[version]) end
if kind == '' or hides then redis.call('HSET', KEYS[1], day .. '.' .. ARGV[2] .. kind, ARGV[4]) end
if #ARGV > 7 then redis.call('HSET', KEYS[2], unpack(ARGV, 8)) end
return 1
"""
)

# KEYS index data; ARGV names of blocks. How many were there.
REMOVE = Script(
    _ENTRIES
    + """
local count = 0
for _, name in ipairs(ARGV) do count = count + delete_block(KEYS[1], KEYS[2], name) end
return count
"""
)

# KEYS index data; ARGV number of fields of the index as it was read, their names, number of blocks to delete, their
# names, then for each new block: name, index value, number of words, (field, value)... Answers whether nothing had
# changed.
ROLL = Script(
    _ENTRIES
    + """
local count = tonumber(ARGV[1])
if redis.call('HLEN', KEYS[1]) ~= count then return 0 end
for i = 2, count + 1 do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 0 then return 0 end
end
local at = count + 2
local gone = tonumber(ARGV[at])
for i = at + 1, at + gone do delete_block(KEYS[1], KEYS[2], ARGV[i]) end
at = at + gone + 1
while at <= #ARGV do
  local words = tonumber(ARGV[at + 2])
  redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
  redis.call('HSET', KEYS[2], unpack(ARGV, at + 3, at + 2 + words))
  at = at + 3 + words
end
return 1
"""
)

# --- the now view ----------------------------------------------------------------------------------------------------

_NOW = """
local function position_problem(pin, at, count)
  for i = 0, count - 1 do
    local partition, start, token = ARGV[at + 4 * i], ARGV[at + 1 + 4 * i], ARGV[at + 2 + 4 * i]
    local stored = redis.call('HGET', pin, 'p' .. partition)
    if stored then
      local offset, other = stored:match('^(%d+) (%-?%d+)')
      if tonumber(other) > tonumber(token) then return {'fenced', partition, other} end
      if offset ~= start then return {'position', partition, offset} end
    end
  end
end
-- What is visible: sequences from the floor to the last, without those excluded.
local function load_state(pin)
  local state = {floor = 1, last = 0, excluded = {}}
  local numbers = {}
  for number in (redis.call('HGET', pin, 's') or '1 0'):gmatch('%d+') do numbers[#numbers + 1] = tonumber(number) end
  state.floor, state.last = numbers[1], numbers[2]
  for i = 3, #numbers do state.excluded[#state.excluded + 1] = numbers[i] end
  return state
end
local function save_state(pin, state, without)
  local texts = {string.format('%d', state.floor), string.format('%d', state.last)}
  for _, number in ipairs(state.excluded) do
    if number ~= without and number >= state.floor then texts[#texts + 1] = string.format('%d', number) end
  end
  redis.call('HSET', pin, 's', table.concat(texts, ' '))
end
"""

# KEYS pin open; ARGV entry (JSON), number of partitions, (partition, start, token, position) of each. Answers ok, the
# new sequence, and the (sequence, entry) of advances that were given up and have left blocks behind.
BEGIN = Script(
    _NOW
    + """
local count = tonumber(ARGV[2])
local problem = position_problem(KEYS[1], 3, count)
if problem then return problem end
local mine = {}
for i = 0, count - 1 do mine[ARGV[3 + 4 * i]] = true end
local given_up, all = {}, redis.call('HGETALL', KEYS[2])
for i = 1, #all, 2 do
  local entry = cjson.decode(all[i + 1])
  for _, partition in ipairs(entry.partitions) do entry.given_up = entry.given_up or mine[partition] end
  if entry.given_up then
    redis.call('HSET', KEYS[2], all[i], cjson.encode(entry))
    given_up[#given_up + 1] = all[i]
    given_up[#given_up + 1] = all[i + 1]
  end
end
local state = load_state(KEYS[1])
state.last = state.last + 1
state.excluded[#state.excluded + 1] = state.last
save_state(KEYS[1], state)
local sequence = string.format('%d', state.last)
redis.call('HSET', KEYS[2], sequence, ARGV[1])
return {'ok', sequence, given_up}
"""
)

# KEYS pin open live, then batches, days, totals of each event type; ARGV sequence (0 without blocks), number of
# partitions, (partition, start, token, position) of each; then for each event type: type, record, blocks, bytes, number
# of days, days...
COMMIT_ADVANCE = Script(
    _NOW
    + """
local sequence, count = ARGV[1], tonumber(ARGV[2])
local problem = position_problem(KEYS[1], 3, count)
if problem then return problem end
if sequence ~= '0' then
  local entry = redis.call('HGET', KEYS[2], sequence)
  if not entry or cjson.decode(entry).given_up then return {'lost'} end
  redis.call('HDEL', KEYS[2], sequence)
  save_state(KEYS[1], load_state(KEYS[1]), tonumber(sequence))
end
for i = 0, count - 1 do redis.call('HSET', KEYS[1], 'p' .. ARGV[3 + 4 * i], ARGV[6 + 4 * i]) end
local at, key = 3 + 4 * count, 4
while at <= #ARGV do
  local type, days = ARGV[at], tonumber(ARGV[at + 4])
  redis.call('ZADD', KEYS[key], sequence, sequence .. ' ' .. ARGV[at + 1])
  redis.call('ZADD', KEYS[3], sequence, sequence .. ' ' .. type)
  redis.call('HINCRBY', KEYS[key + 2], 'batches', 1)
  redis.call('HINCRBY', KEYS[key + 2], 'blocks', ARGV[at + 2])
  redis.call('HINCRBY', KEYS[key + 2], 'bytes', ARGV[at + 3])
  local newest = tonumber(redis.call('HGET', KEYS[1], 'd' .. type) or '0')
  for i = at + 5, at + 4 + days do
    redis.call('HINCRBY', KEYS[key + 1], ARGV[i], 1)
    newest = math.max(newest, tonumber(ARGV[i]))
  end
  redis.call('HSET', KEYS[1], 'd' .. type, string.format('%d', newest))
  at, key = at + 5 + days, key + 3
end
return {'ok'}
"""
)

# KEYS pin open; ARGV sequence, '1' if its writer can write no more. What it had written has been deleted.
GIVE_UP = Script(
    _NOW
    + """
redis.call('HDEL', KEYS[2], ARGV[1])
if ARGV[2] == '1' then save_state(KEYS[1], load_state(KEYS[1]), tonumber(ARGV[1])) end
return {'ok'}
"""
)

# KEYS pin open live batches days totals; ARGV type, sequence, blocks and bytes deleted, '1' if all of the batch are,
# its days. Answers whether the batch left by this.
EVICT = Script(
    _NOW
    + """
local left = 0
redis.call('HINCRBY', KEYS[6], 'blocks', string.format('%d', -tonumber(ARGV[3])))
redis.call('HINCRBY', KEYS[6], 'bytes', string.format('%d', -tonumber(ARGV[4])))
if ARGV[5] == '1' and redis.call('ZREMRANGEBYSCORE', KEYS[4], ARGV[2], ARGV[2]) == 1 then
  left = 1
  redis.call('ZREM', KEYS[3], ARGV[2] .. ' ' .. ARGV[1])
  for i = 6, #ARGV do
    if redis.call('HINCRBY', KEYS[5], ARGV[i], -1) <= 0 then redis.call('HDEL', KEYS[5], ARGV[i]) end
  end
  local newest = 0
  for _, day in ipairs(redis.call('HKEYS', KEYS[5])) do newest = math.max(newest, tonumber(day)) end
  redis.call('HSET', KEYS[1], 'd' .. ARGV[1], string.format('%d', newest))
  redis.call('HINCRBY', KEYS[6], 'batches', -1)
  -- Below the floor nothing is visible, so what was given up there need not be remembered.
  local state = load_state(KEYS[1])
  local floor = state.last + 1
  local first = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
  if first[2] then floor = math.min(floor, tonumber(first[2])) end
  for _, sequence in ipairs(redis.call('HKEYS', KEYS[2])) do floor = math.min(floor, tonumber(sequence)) end
  state.floor = math.max(state.floor, floor)
  save_state(KEYS[1], state)
end
-- A writer that died between deleting and counting has left the totals too high; without batches they are known.
if redis.call('ZCARD', KEYS[4]) == 0 then redis.call('DEL', KEYS[6]) end
return {'ok', left}
"""
)

# KEYS now; ARGV block, sequences that are folded, ascending. How many bytes they had, or -1 if one is not there.
FOLD = Script(
    """
local size, last = 0, ARGV[#ARGV]
for i = 2, #ARGV do
  local found = redis.call('HSTRLEN', KEYS[1], ARGV[i])
  if found == 0 then return -1 end
  size = size + found
end
local first = redis.call('HGET', KEYS[1], 'f' .. ARGV[2]) or ARGV[2]
for i = 2, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i], 'f' .. ARGV[i]) end
redis.call('HSET', KEYS[1], last, ARGV[1], 'f' .. last, first)
return size
"""
)
