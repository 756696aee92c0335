"""What the library logs goes to the ROS log, and nowhere else."""

import logging
from unittest.mock import Mock

from facial_attributes_ros.ros.process import _LogToRos


def test_lines_of_the_library_show_once_though_the_root_logger_has_a_handler(caplog):
    ros, library = Mock(), logging.getLogger("facial_attributes_ros.progress")
    with _LogToRos(ros):
        library.info("Built the engine")
        library.warning("cv_bridge is old")
    assert caplog.records == []
    ros.info.assert_called_once_with("Built the engine")
    ros.warning.assert_called_once_with("cv_bridge is old")
    library.info("after it")
    assert [record.message for record in caplog.records] == ["after it"]
