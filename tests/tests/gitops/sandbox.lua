-- Runs a script as Argo CD does: Lua 5.1, the object as the global `obj`, and of the libraries only table and os.date.
-- In: SCRIPT and OBJECT, set above this text. Out: what the script returns, as JSON.

local write, format, byte, gsub = io.write, string.format, string.byte, string.gsub

local function quoted(text)
  return '"' .. gsub(text, '[%c"\\]', function(letter)
    return format("\\u%04x", byte(letter))
  end) .. '"'
end

local function json(value)
  if type(value) == "string" then
    return quoted(value)
  elseif type(value) ~= "table" then
    return tostring(value)
  end
  local parts = {}
  if #value > 0 then
    for _, item in ipairs(value) do
      parts[#parts + 1] = json(item)
    end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for name, item in pairs(value) do
    parts[#parts + 1] = quoted(name) .. ":" .. json(item)
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

local safe_os = {date = os.date, time = os.time}
local script = assert(loadstring(SCRIPT))
setfenv(script, {
  obj = OBJECT, table = table, os = safe_os,
  ipairs = ipairs, pairs = pairs, next = next, type = type, tostring = tostring, tonumber = tonumber,
  select = select, unpack = unpack, error = error, pcall = pcall, assert = assert,
  require = function(name)
    return assert(name == "os" and safe_os, "there is no library but os")
  end,
})
-- Without the library string, text has no methods either.
getmetatable("").__index = nil
write(json(script()))
