-- Stores a value on a condition. KEYS[1]: where; KEYS[2]: the namespace's record, if it has to be checked.
-- ARGV[1]: the value; ARGV[2]: how long it lives in ms, nothing for ever, 0 to remove what is there; ARGV[3]: 'always', 'absent' or 'seen'; ARGV[4], ARGV[5]: with what
-- the value that was seen begins, and how long it is; ARGV[6]: what the namespace's record must hold.
-- Returns 1 if it stored.
local free = ARGV[3] == 'always' or redis.call('TYPE', KEYS[1]).ok ~= 'string'
if not free and ARGV[3] == 'seen' then
  free = redis.call('STRLEN', KEYS[1]) == tonumber(ARGV[5])
    and redis.call('GETRANGE', KEYS[1], 0, #ARGV[4] - 1) == ARGV[4]
end
if not free then return 0 end
if ARGV[2] == '0' or KEYS[2] and redis.pcall('GET', KEYS[2]) ~= ARGV[6] then
  -- The second: cleared since the fill began, so as if it had been stored and cleared.
  redis.call('UNLINK', KEYS[1])
elseif ARGV[2] == '' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return 1
