"""Steps that change the now view; see ``script``."""

from seqplat_resources.online_store.redis.wire.script import Script

_NOW = """
local function position_problem(pin, at, count)
  for i = 0, count - 1 do
    local partition, start, token = ARGV[at + 5 * i], ARGV[at + 1 + 5 * i], ARGV[at + 2 + 5 * i]
    local stored = redis.call('HGET', pin, 'p' .. partition)
    if stored then
      local offset, other = stored:match('^(%d+) (%-?%d+)')
      if tonumber(other) > tonumber(token) then return {'fenced', partition, other} end
      if offset ~= start then return {'position', partition, offset} end
    elseif ARGV[at + 3 + 5 * i] == '1' then
      return {'position', partition, ''}
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
-- How many batches that may be visible are listed. The pin has the same number, as ``l``: a server may lose the list.
local function listed(live, state) return redis.call('ZCOUNT', live, state.floor, '+inf') end
local function save_state(pin, state, without)
  local texts = {string.format('%d', state.floor), string.format('%d', state.last)}
  for _, number in ipairs(state.excluded) do
    if number ~= without and number >= state.floor then texts[#texts + 1] = string.format('%d', number) end
  end
  redis.call('HSET', pin, 's', table.concat(texts, ' '))
end
"""

# KEYS pin open live; ARGV entry (JSON), number of partitions, (partition, start, token, '1' if it resumes,
# position) of each, and last where numbers begin if none is known. Answers ok, the
# new sequence, and the (sequence, entry) of advances that were given up and have left blocks behind.
BEGIN = Script(
    _NOW
    + """
local count = tonumber(ARGV[2])
local problem = position_problem(KEYS[1], 3, count)
if problem then return problem end
local mine = {}
for i = 0, count - 1 do mine[ARGV[3 + 5 * i]] = true end
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
if redis.call('HEXISTS', KEYS[1], 's') == 0 then
  -- The pin is new, or was lost: then no number may be given out twice, and what streamed before streams again.
  state.last = tonumber(ARGV[#ARGV])
  for _, number in ipairs(redis.call('HKEYS', KEYS[2])) do state.last = math.max(state.last, tonumber(number)) end
  local newest = redis.call('ZREVRANGE', KEYS[3], 0, 0, 'WITHSCORES')
  if newest[2] then state.last = math.max(state.last, tonumber(newest[2])) end
  state.floor = state.last + 1
  redis.call('HSET', KEYS[1], 'l', 0)
end
state.last = state.last + 1
state.excluded[#state.excluded + 1] = state.last
save_state(KEYS[1], state)
local sequence = string.format('%d', state.last)
redis.call('HSET', KEYS[2], sequence, ARGV[1])
return {'ok', sequence, given_up}
"""
)

# KEYS pin open live, then batches, days, totals of each event type; ARGV sequence (0 without blocks), number of
# partitions, (partition, start, token, '1' if it resumes, position) of each; then for each event type: type, record,
# blocks, bytes, number of days, days...
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
for i = 0, count - 1 do redis.call('HSET', KEYS[1], 'p' .. ARGV[3 + 5 * i], ARGV[7 + 5 * i]) end
local at, key = 3 + 5 * count, 4
while at <= #ARGV do
  local type, days = ARGV[at], tonumber(ARGV[at + 4])
  redis.call('ZADD', KEYS[key], sequence, sequence .. ' ' .. ARGV[at + 1])
  redis.call('ZADD', KEYS[3], sequence, sequence .. ' ' .. type)
  if redis.call('HEXISTS', KEYS[1], 'l') == 1 then redis.call('HINCRBY', KEYS[1], 'l', 1) end
  redis.call('HSET', KEYS[1], 'm' .. type, 1) -- has lists of arrivals
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
  local known = tonumber(redis.call('HGET', KEYS[1], 'l') or '-1')
  if known > 0 and tonumber(ARGV[2]) >= state.floor then known = redis.call('HINCRBY', KEYS[1], 'l', -1) end
  if known <= listed(KEYS[3], state) then -- else some are not listed, and are read on
    local floor = state.last + 1
    local first = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
    if first[2] then floor = math.min(floor, tonumber(first[2])) end
    for _, sequence in ipairs(redis.call('HKEYS', KEYS[2])) do floor = math.min(floor, tonumber(sequence)) end
    state.floor = math.max(state.floor, floor)
    save_state(KEYS[1], state)
  end
end
-- A writer that died between deleting and counting has left the totals too high; without batches they are known.
if redis.call('ZCARD', KEYS[4]) == 0 then redis.call('DEL', KEYS[6]) end
return {'ok', left}
"""
)

# KEYS pin live, then batches of event types; ARGV the types. Lists anew what a server has lost of all batches: the
# floor is the first of them. Answers how many are still missing, and of those that may be visible the first and the
# last.
RELIST = Script(
    _NOW
    + """
local count = 0
for i = 3, #KEYS do count = count + redis.call('ZCARD', KEYS[i]) end
if redis.call('ZCARD', KEYS[2]) ~= count then
  for i = 3, #KEYS do
    local found = redis.call('ZRANGE', KEYS[i], 0, -1, 'WITHSCORES')
    for j = 2, #found, 2 do redis.call('ZADD', KEYS[2], found[j], found[j] .. ' ' .. ARGV[i - 2]) end
  end
end
local state = load_state(KEYS[1])
if redis.call('HEXISTS', KEYS[1], 'l') == 0 then redis.call('HSET', KEYS[1], 'l', listed(KEYS[2], state)) end
return {redis.call('HGET', KEYS[1], 'l') - listed(KEYS[2], state), string.format('%d', state.floor),
        string.format('%d', state.last)}
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
