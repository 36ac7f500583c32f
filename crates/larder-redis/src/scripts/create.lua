-- Reads a namespace's records and creates those that are not there: namespace, fence, tags.
-- KEYS: the records. ARGV[1]: what the namespace's nonce is followed by; ARGV[2]: how long tags live, in ms;
-- then what each record is to hold if it is made. Returns what they hold now.
local out = {}
for i, key in ipairs(KEYS) do
  local there = redis.pcall('GET', key)
  local tail = i == 1 and ARGV[1] or ''
  local good = type(there) == 'string' and #there == 32 + #tail and string.sub(there, 33) == tail
    and not string.find(string.sub(there, 1, 32), '[^0-9a-f]')
  if not good then
    there = ARGV[i + 2]
    if i <= 2 then
      redis.call('SET', key, there)
    else
      redis.call('SET', key, there, 'PX', ARGV[2])
    end
  end
  out[i] = there
end
return out
