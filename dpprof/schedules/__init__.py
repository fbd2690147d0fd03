"""PLACEHOLDER schedules"""
