"""Steps that change the blocks of one user; see ``script``."""

from seqplat_resources.online_store.redis.wire.script import Script

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
# oldest valid version, versions that do not count (a,b or -), (field, value) of the block... Answers 2 where the index
# came into being.
PUT = Script(
    _ENTRIES
    + """
local day, mine, kind = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local since, invalid, needed = tonumber(ARGV[6]), {}, {}
for version in ARGV[7]:gmatch('%d+') do invalid[tonumber(version)] = true end
local before, older, rolled = redis.call('EXISTS', KEYS[1]), {}, {}
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  local of, version = name:match('^(%d+)%.(%d+)x?$')
  if of == day and tonumber(version) <= mine then
    older[#older + 1] = {name, tonumber(version)}
  elseif not of then
    local value = redis.call('HGET', KEYS[1], name)
    version = (' ' .. (value:match('%S+$') or ''):gsub(',', ' ')):match(' ' .. day .. ':(%d+)')
    if version then rolled[#rolled + 1] = tonumber(version) end
  end
end
local function counts(version) return version >= since and version < mine and not invalid[version] end
local valid = {}
for _, entry in ipairs(older) do valid[#valid + 1] = entry[2] end
local function newest_of(versions, bound)
  local newest = 0
  for _, version in ipairs(versions) do
    if version <= bound and version > newest and counts(version) then newest = version end
  end
  return newest
end
for bound in ARGV[5]:gmatch('%d+') do
  -- What is rolled up is older than any entry, and where its list of days is damaged it must not have one deleted.
  local newest = newest_of(valid, tonumber(bound))
  if newest == 0 then newest = newest_of(rolled, tonumber(bound)) end
  needed[newest] = true
end
for _, version in ipairs(rolled) do valid[#valid + 1] = version end
local hides = false
for _, entry in ipairs(older) do
  if not (counts(entry[2]) and needed[entry[2]]) then delete_block(KEYS[1], KEYS[2], entry[1]) end
end
for _, version in ipairs(valid) do hides = hides or (counts(version) and needed[version]) end
if kind == '' or hides then redis.call('HSET', KEYS[1], day .. '.' .. ARGV[2] .. kind, ARGV[4]) end
if #ARGV > 7 then redis.call('HSET', KEYS[2], unpack(ARGV, 8)) end
if before == 0 and redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'b', ARGV[2])
  return 2
end
return 1
"""
)

# KEYS index data; ARGV day, oldest valid version, versions that do not count (a,b or -). Whether there is a block of
# the day that counts.
HAS_DAY = Script(
    """
local day, since, invalid = ARGV[1], tonumber(ARGV[2]), {}
for version in ARGV[3]:gmatch('%d+') do invalid[tonumber(version)] = true end
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  local of, version = name:match('^(%d+)%.(%d+)$')
  if name:sub(1, 1) == 'r' then
    local days = (redis.call('HGET', KEYS[1], name):match('%S+$') or ''):gsub(',', ' ')
    of, version = day, (' ' .. days):match(' ' .. day .. ':(%d+)')
  end
  version = of == day and tonumber(version)
  local counts = version and version >= since and not invalid[version]
  if counts and redis.call('HEXISTS', KEYS[2], name) == 1 then return 1 end
end
return 0
"""
)

# KEYS index; ARGV the field that says when it began. Deletes an index that has nothing else.
END = Script(
    """
if redis.call('HLEN', KEYS[1]) > 1 or redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
return redis.call('DEL', KEYS[1])
"""
)

# KEYS census; ARGV user, when his index began.
TAKE_OUT = Script(
    """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])
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
