#!lua
-- What both scripts begin with. ARGV[1] is the time ('': the server's); the last of KEYS are
-- the marks of the process's runs.
local now = tonumber(ARGV[1])
if not now then
  local t = redis.call('TIME')
  now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end
local minute, most = 60000, 9007199254740992 -- 2^53

-- once leaves the mark of a numbered run, and reports whether it was not there: a run is carried
-- out once. Marks go when what became of their runs is known (below), or when a minute has
-- passed since a run was prevented (whose mark is the time, negative).
local function once(marks, number, below)
  if number == '0' then return true end
  if redis.call('ZADD', marks, 'NX', number, number) == 0 then return false end
  redis.call('ZREMRANGEBYSCORE', marks, string.format('%.0f', minute - now), '(' .. below)
  redis.call('PEXPIRE', marks, 3600000)
  return true
end

