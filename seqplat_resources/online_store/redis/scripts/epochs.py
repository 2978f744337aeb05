"""Steps that change leases and epochs; see ``script``."""

from seqplat_resources.online_store.redis.wire.script import Script

_HEAD = """
local function head_of(pin, type)
  local found = redis.call('HGET', pin, 'h' .. type)
  if not found then return nil, nil end
  local oldest, number = found:match('^(%d+) (%d+)')
  return tonumber(number), tonumber(oldest)
end
"""

# The last write version lies twice: where one of the two was lost, no number may be given out again. Where both were,
# or neither was there, numbers begin at the clock (seconds): a writer that slept through that has older ones.
VERSION = """
local function last_version(pin, versions, type)
  local counted, known = redis.call('HGET', versions, type), redis.call('HGET', pin, 'w' .. type)
  return math.max(tonumber(counted or '0'), tonumber(known or '0'))
end
local function next_version(pin, versions, type, clock)
  local last = last_version(pin, versions, type)
  local version = string.format('%d', (last > 0 and last or tonumber(clock)) + 1)
  redis.call('HSET', versions, type, version)
  redis.call('HSET', pin, 'w' .. type, version)
  return version
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

# KEYS pin versions; ARGV type, clock.
NEXT_VERSION = Script(VERSION + "return next_version(KEYS[1], KEYS[2], ARGV[1], ARGV[2])")

# KEYS pin leases versions; ARGV type, day, expected epoch ('any', or '' for none), clock, (day, version) held
# already...
LEASE = Script(
    _HEAD
    + VERSION
    + _LEASE
    + """
local number = head_of(KEYS[1], ARGV[1])
if ARGV[3] ~= 'any' and tostring(number or '') ~= ARGV[3] then return {'epoch', tostring(number or '')} end
local day, mine, theirs = first_not_held(KEYS[2], 5)
if day then return {'taken', day, mine, theirs} end
local version = next_version(KEYS[1], KEYS[3], ARGV[1], ARGV[4])
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
local is_lost = not number or redis.call('HEXISTS', KEYS[2], ARGV[2]) == 0
if is_lost then redis.call('DEL', KEYS[2]) end -- what is left of a store whose pin was lost; older ones went as well
local first = math.max(not is_lost and oldest or new, new - tonumber(ARGV[6]) + 1)
redis.call('HSET', KEYS[2], ARGV[3], ARGV[5])
for old = oldest or new, first - 1 do redis.call('HDEL', KEYS[2], string.format('%d', old)) end
local nonces, room = {ARGV[4]}, new - first
local known = number and redis.call('HGET', KEYS[1], 'h' .. ARGV[1]):match('%S+$') or ''
for nonce in known:gmatch('[^,]+') do
  if #nonces <= room then nonces[#nonces + 1] = nonce end
end
local kept = table.concat(nonces, ',')
redis.call('HSET', KEYS[1], 'h' .. ARGV[1], string.format('%d', first) .. ' ' .. ARGV[3] .. ' ' .. kept)
return {'ok'}
"""
)

# KEYS pin epochs leases versions; ARGV type, epochs to keep. Answers ok, last version, epochs, leases; or lost, and the
# number of the epoch that is.
FORGET = Script(
    _HEAD
    + VERSION
    + """
local number, oldest = head_of(KEYS[1], ARGV[1])
if number then
  if redis.call('HEXISTS', KEYS[2], string.format('%d', number)) == 0 then return {'lost', number} end
  local first = math.max(oldest, number - tonumber(ARGV[2]) + 1)
  for old = oldest, first - 1 do redis.call('HDEL', KEYS[2], string.format('%d', old)) end
  local rest = redis.call('HGET', KEYS[1], 'h' .. ARGV[1]):match('^%d+( .*)$')
  redis.call('HSET', KEYS[1], 'h' .. ARGV[1], string.format('%d', first) .. rest)
end
return {'ok', string.format('%d', last_version(KEYS[1], KEYS[4], ARGV[1])), redis.call('HGETALL', KEYS[2]),
        redis.call('HGETALL', KEYS[3])}
"""
)

# KEYS pin leases versions; ARGV type, epoch looked at ('' for none), clock, days that no epoch shows. Takes them over
# as if nothing had ever been written. Answers ok and the version that now holds all of them.
DESERT = Script(
    _HEAD
    + VERSION
    + """
local number = head_of(KEYS[1], ARGV[1])
if tostring(number or '') ~= ARGV[2] then return {'epoch', tostring(number or '')} end
local version = next_version(KEYS[1], KEYS[3], ARGV[1], ARGV[3])
for i = 4, #ARGV do redis.call('HSET', KEYS[2], ARGV[i], version .. ' 0 ' .. version .. ' - -') end
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
