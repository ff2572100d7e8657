defmodule FlyDeployAgent.Backtrace do
  @moduledoc """
  Reads the text of `process_info(pid, backtrace)`: the one place where the VM tells of a process' frames beyond the innermost
  eight, and of the values that they keep.

  That text is no API, and it is dear: the VM prints whole states, inside of the process that is asked. So it is asked last, of
  processes of a bounded size, and nothing of it is kept but names.
  """

  # Bytes of a process' heap and stack. Printing takes 10 ms for each megabyte, during which it does nothing else.
  @most 4_000_000

  @typedoc "A frame, and the values that it keeps, as text."
  @type section :: {mfa, [binary]}

  @doc "The frames of a process, innermost first; nil for a large one, [] for a dead one."
  @spec frames(pid) :: [mfa] | nil
  def frames(pid), do: with(text when is_binary(text) <- text(pid), do: for({mfa, _} <- parse(text), do: mfa))

  @doc """
  What the loop of an OTP behaviour keeps beside the state: which behaviour it is, and the callback module; nil where nothing is
  found, or the process is large.
  """
  @spec callback(pid) :: {:gen_server | :gen_statem, module} | nil
  def callback(pid), do: with(text when is_binary(text) <- text(pid), do: text |> parse() |> callback_in())

  defp text(pid) do
    with {:memory, bytes} when bytes > @most <- Process.info(pid, :memory) do
      nil
    else
      _ -> text_of(pid)
    end
  end

  defp text_of(pid) do
    case Process.info(pid, :backtrace) do
      {:backtrace, text} -> text
      nil -> ""
    end
  end

  @doc """
  Takes a text apart: a line "Program counter: 0x… (module:function/arity + offset)" or "0x… Return addr 0x… (…)", then
  the values of that frame, a line "y(0) …" for each.
  """
  @spec parse(binary) :: [section]
  def parse(text) do
    for frame <- :binary.split(text, "\n\n", [:global]),
        [line | values] = :binary.split(frame, "\n", [:global]),
        mfa = mfa(line),
        do: {mfa, values(values)}
  end

  defp mfa(line) do
    case Regex.run(
           ~r/^(?:Program counter:|0x\w+ Return addr) \S+ \('?(.+?)'?:'?(.+?)'?\/(\d+) \+/,
           line,
           capture: :all_but_first
         ) do
      [m, f, a] -> {existing(m), existing(f), String.to_integer(a)}
      nil -> nil
    end
  end

  defp values(lines) do
    for line <- lines, [_, value] <- [Regex.run(~r/^y\(\d+\) +(.*)$/s, line)], do: value
  end

  @doc """
  What `callback/1` gives, out of a text that was taken apart. The outermost frame of a behaviour is its loop; others belong to
  calls.
  """
  @spec callback_in([section]) :: {:gen_server | :gen_statem, module} | nil
  def callback_in(sections) do
    sections
    |> Enum.reverse()
    |> Enum.find_value(fn
      {{behaviour, _, _}, values} when behaviour in [:gen_server, :gen_statem] ->
        module = Enum.find_value(values, &module(behaviour, &1))
        module && {behaviour, module}

      _ ->
        nil
    end)
  end

  # A record, on its own or (where a system message is handled) first in a list.
  # gen_server from OTP 26 on: {callback_cache,Module,fun Module:handle_call/3,…}; from OTP 28 on {server_data,…,fun Module:handle_call/3,…}.
  defp module(:gen_server, "{callback_cache," <> rest), do: in_fun(rest)
  defp module(:gen_server, "[{callback_cache," <> rest), do: in_fun(rest)
  defp module(:gen_server, "{server_data," <> rest), do: in_fun(rest)
  # gen_server up to OTP 25: ['Elixir.Module',…, or the atom as a value of its own.
  defp module(:gen_server, "[" <> rest), do: first(rest)
  defp module(:gen_server, value), do: bare(value)
  # gen_statem: {params,Mode,Enter,<0.1.0>,['Elixir.Module'],…}, the module that runs first.
  defp module(:gen_statem, "{params," <> rest), do: in_list(rest)
  defp module(:gen_statem, _value), do: nil

  defp in_fun(text), do: named(Regex.run(~r/fun ('[^']+'|\w+):handle_call\/3/, text))
  defp in_list(text), do: named(Regex.run(~r/^[^\[]*\[('[^']+'|\w+)/, text))
  defp first(text), do: named(Regex.run(~r/^('[^']+'|\w+),/, text))
  defp bare(text), do: named(Regex.run(~r/^('[^']+'|\w+)$/, text))

  # Only a module with callbacks can be one.
  defp named([_, name]) do
    module = name |> String.trim("'") |> existing()
    if module != nil and function_exported?(module, :init, 1), do: module
  end

  defp named(nil), do: nil

  defp existing(name) do
    String.to_existing_atom(name)
  rescue
    ArgumentError -> nil
  end
end
