-- Takes of some counters, all or nothing. KEYS are two for each: its hash and the set of
-- its requests; then the marks of the process. ARGV are the time ('': the server's), whether
-- nothing is refused, the day and the month and when they end, how long a request lives
-- without a sign of life, the run's number ('0': none) and that below which all are known;
-- then for each counter its five limits, whether the request enters, its tokens, its lease.
-- Buckets are used·60000 at a time in milliseconds, as in package meter.
local force, day, month = ARGV[2] == '1', tonumber(ARGV[3]), tonumber(ARGV[4])
local dayEnd, monthEnd, lease = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

local function drain(used, at, limit)
  if limit == 0 then return 0 end
  return math.max(0, used - math.max(0, now - at) * limit)
end

local function wait(used, n, limit)
  local over = used + math.min(n, limit) * minute - limit * minute
  if over <= 0 then return 0 end
  return math.ceil(over / limit)
end

local counters, refused = {}, nil
for i = 1, (#KEYS - 1) / 2 do
  local a = 9 + (i - 1) * 8
  local h = redis.call('HMGET', KEYS[2 * i - 1], 'r', 'ra', 't', 'ta', 'd', 'dp', 'm', 'mp')
  for f = 1, 8 do h[f] = tonumber(h[f]) or 0 end
  local c = {
    atOnce = tonumber(ARGV[a + 1]), rpm = tonumber(ARGV[a + 2]), tpm = tonumber(ARGV[a + 3]),
    tpd = tonumber(ARGV[a + 4]), tpmonth = tonumber(ARGV[a + 5]),
    enters = ARGV[a + 6] == '1', tokens = math.max(0, tonumber(ARGV[a + 7])), lease = ARGV[a + 8],
    day = math.max(day, h[6]), month = math.max(month, h[8]),
  }
  c.r, c.ra = drain(h[1], h[2], c.rpm), math.max(now, h[2])
  c.t, c.ta = drain(h[3], h[4], c.tpm), math.max(now, h[4])
  c.d = h[6] == c.day and h[5] or 0
  c.m = h[8] == c.month and h[7] or 0
  counters[i] = c
  if not refused and not force then
    local wanted = math.max(1, c.tokens)
    local left
    if c.enters and c.atOnce > 0 then
      local active = redis.call('ZCOUNT', KEYS[2 * i], '(' .. string.format('%.0f', now), '+inf')
      if active >= c.atOnce then refused = {i, 0, active, 1000} end
    end
    if not refused and c.enters and c.rpm > 0 then
      left = wait(c.r, 1, c.rpm)
      if left > 0 then refused = {i, 1, math.ceil(c.r / minute), left} end
    end
    if not refused and c.tpm > 0 then
      left = wait(c.t, wanted, c.tpm)
      if left > 0 then refused = {i, 2, math.ceil(c.t / minute), left} end
    end
    if not refused and c.tpd > 0 and c.d + wanted > c.tpd then refused = {i, 3, c.d, 0} end
    if not refused and c.tpmonth > 0 and c.m + wanted > c.tpmonth then refused = {i, 4, c.m, 0} end
  end
end

local late = not refused and not once(KEYS[#KEYS], ARGV[8], ARGV[9]) -- nobody waits for it any more

local levels = {0, 0, 0, 0, 0, 0}
local function note(at, used, limit)
  if limit == 0 then return end
  local left = math.floor(math.max(0, limit * minute - used) / minute)
  if levels[at] == 0 or left * levels[at] < levels[at + 1] * limit then
    levels[at], levels[at + 1], levels[at + 2] = limit, left, math.ceil(used / limit)
  end
end

for i, c in ipairs(counters) do
  local hash, set = KEYS[2 * i - 1], KEYS[2 * i]
  if not refused and not late then
    if c.enters then
      c.r = c.r + minute
      if c.lease ~= '' then
        redis.call('ZADD', set, now + lease, c.lease)
        for _, gone in ipairs(redis.call('ZRANGEBYSCORE', set, '-inf', now, 'LIMIT', 0, 100)) do redis.call('ZREM', set, gone) end
        redis.call('PEXPIRE', set, 2 * lease)
      end
    end
    c.t = math.min(c.t + c.tokens * minute, most)
    c.d, c.m = math.min(c.d + c.tokens, most), math.min(c.m + c.tokens, most)
    local fields, lives = {}, 0
    if c.rpm > 0 then
      fields = {'r', c.r, 'ra', c.ra}
      lives = math.ceil(c.r / c.rpm)
    end
    if c.tpm > 0 then
      for _, v in ipairs({'t', c.t, 'ta', c.ta}) do fields[#fields + 1] = v end
      lives = math.max(lives, math.ceil(c.t / c.tpm))
    end
    if c.tpd > 0 then
      for _, v in ipairs({'d', c.d, 'dp', c.day}) do fields[#fields + 1] = v end
      if c.d > 0 then lives = math.max(lives, dayEnd - now) end
    end
    if c.tpmonth > 0 then
      for _, v in ipairs({'m', c.m, 'mp', c.month}) do fields[#fields + 1] = v end
      if c.m > 0 then lives = math.max(lives, monthEnd - now) end
    end
    if #fields > 0 and lives > 0 then
      redis.call('HSET', hash, unpack(fields))
      redis.call('PEXPIRE', hash, lives + 60000)
    end
  end
  note(1, c.r, c.rpm)
  note(4, c.t, c.tpm)
end
refused = refused or {0, 0, 0, 0}
for _, v in ipairs(levels) do refused[#refused + 1] = v end
return refused
