-- Ends what was taken of some counters. KEYS are two for each: its hash and the set of its
-- requests; then the marks of the process. ARGV are the time ('': the server's), the run's
-- number and that below which all are known; then for each counter its five limits, its lease,
-- the tokens beyond those that were reserved, the day and the month in which they were, when
-- those end, and the number of the take that is given back, if it was carried out ('0': it
-- is known that it was). A counter that says nothing any more goes.
if not once(KEYS[#KEYS], ARGV[2], ARGV[3]) then return 0 end

-- taken reports whether a take was carried out; from now on it is not any more.
local known = {}
local function taken(marks, number)
  if number == '0' then return true end
  if known[number] == nil then
    known[number] = tonumber(redis.call('ZSCORE', marks, number) or 0) > 0
    redis.call('ZADD', marks, string.format('%.0f', -now), number)
  end
  return known[number]
end

for i = 1, (#KEYS - 1) / 2 do
  local a, hash = 3 + (i - 1) * 12, KEYS[2 * i - 1]
  local rpm, tpm, tpd, tpmonth = tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4]), tonumber(ARGV[a + 5])
  local lease, more, day, month = ARGV[a + 6], tonumber(ARGV[a + 7]), tonumber(ARGV[a + 8]), tonumber(ARGV[a + 9])
  local dayEnd, monthEnd = tonumber(ARGV[a + 10]), tonumber(ARGV[a + 11])
  local was = taken(KEYS[#KEYS], ARGV[a + 12])
  if was and lease ~= '' then redis.call('ZREM', KEYS[2 * i], lease) end
  if was and more ~= 0 then
    local h = redis.call('HMGET', hash, 'r', 'ra', 't', 'ta', 'd', 'dp', 'm', 'mp')
    for f = 1, 8 do h[f] = tonumber(h[f]) or 0 end
    local fields, lives = {}, 0
    -- What a limit has counted that is not there now stays for two minutes, as in the process.
    local function stays(used, at)
      if used > 0 then lives = math.max(lives, 2 * minute - (now - at)) end
    end
    if rpm > 0 then lives = math.max(0, math.ceil(h[1] / rpm) - (now - h[2])) else stays(h[1], h[2]) end
    if tpm == 0 then stays(h[3], h[4]) end
    if tpm > 0 then
      local used = math.max(0, h[3] - math.max(0, now - h[4]) * tpm)
      used = math.min(math.max(0, used + more * minute), most)
      fields = {'t', used, 'ta', math.max(now, h[4])}
      lives = math.max(lives, math.ceil(used / tpm))
    end
    -- spend counts what was used of a period where it was reserved, unless a later one has begun.
    local function spend(limit, used, of, period, ends, longest, name)
      if limit == 0 then return end
      local left = longest
      if of <= period then
        used = math.min(math.max(0, (of == period and used or 0) + more), most)
        for _, v in ipairs({name, used, name .. 'p', period}) do fields[#fields + 1] = v end
        left = ends - now
      end
      if used > 0 then lives = math.max(lives, left) end
    end
    spend(tpd, h[5], h[6], day, dayEnd, 86400000, 'd')
    spend(tpmonth, h[7], h[8], month, monthEnd, 2678400000, 'm')
    if lives <= 0 then
      redis.call('DEL', hash)
    elseif #fields > 0 then
      redis.call('HSET', hash, unpack(fields))
      redis.call('PEXPIRE', hash, lives + 60000)
    end
  end
end
return 0
