defmodule FlyDeployAgent.Sleepers do
  @moduledoc """
  Asks hibernated processes what they run. They have no stack that would tell; and what they recorded as their start may have
  been replaced, as Agents do.
  """

  alias FlyDeployAgent.Rounds

  # How long they may take to tell.
  @answer_ms 250

  @doc """
  The behaviour and the callback module of each, `%{pid => {:gen_server | :gen_statem, module}}`. One that does not answer, or keeps
  its module elsewhere, is left out. They wake up for a moment.
  """
  @spec callbacks([pid]) :: %{pid => {:gen_server | :gen_statem, module}}
  def callbacks(pids) do
    asked = for pid <- pids, do: {pid, &callback/1}
    for {pid, {_, _} = callback} <- Rounds.inside(asked, @answer_ms), into: %{}, do: {pid, callback}
  end

  # The frame that called keeps the module beside the state: in a list (gen_server; in OTP 26 within a record), or in a record
  # (gen_statem, which begins with its handle_event/4 where it has one from OTP 27 on; gen_server from OTP 27 on). Of the text
  # nothing else is kept.
  defp callback(_state) do
    {:backtrace, text} = Process.info(self(), :backtrace)

    with [_, server, values] <- Regex.run(~r/\((\w+):system_replace_state\/2 .*\n((?:y\(.*\n)+)/, text),
         [[beside] | _] <-
           Regex.scan(~r/(?:\[|\{(?:server_data|callback_cache|params),(?:fun )?)\S*/, values),
         module when module != nil <- Enum.find_value(Regex.scan(~r/[\w.]+/, beside), &callback_module/1) do
      {String.to_existing_atom(server), module}
    else
      _ -> nil
    end
  end

  @doc "The module of this name, if it is one of callbacks."
  @spec callback_module([binary]) :: module | nil
  def callback_module([name]) do
    module = String.to_existing_atom(name)
    if function_exported?(module, :init, 1), do: module
  rescue
    ArgumentError -> nil
  end
end
